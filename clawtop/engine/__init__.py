"""asyncio: owns every task, and is the only writer of OpenClaw's store. No terminal library."""
