"""Who owns a lock, and is the owner dead: clawtop's verdict and OpenClaw's."""
