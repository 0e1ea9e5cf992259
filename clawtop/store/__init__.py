"""The disk: one module per format. No other package knows what a file looks like."""
