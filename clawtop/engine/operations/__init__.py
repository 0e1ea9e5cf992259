"""From a plan to a receipt: the only writer of OpenClaw's store besides marks."""
