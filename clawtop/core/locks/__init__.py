"""Who owns a lock and whether the owner is dead: clawtop's verdict and OpenClaw's."""
