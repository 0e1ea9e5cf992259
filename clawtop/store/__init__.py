"""The disk: one module per format. No other package knows the file formats."""
