"""Where a state directory keeps what, and which generation it is."""
