"""The disk: one module per format. Nothing outside this room knows what a file looks like."""
