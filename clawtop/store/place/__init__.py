"""Where a state directory keeps what, and its generation."""
