"""Where a state directory keeps its files, and its generation."""
