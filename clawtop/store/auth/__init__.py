"""Auth stores: reading them, and changing one under OpenClaw's own lock."""
