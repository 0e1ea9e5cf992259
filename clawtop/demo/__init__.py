"""A small world on loopback that misbehaves on a script."""
