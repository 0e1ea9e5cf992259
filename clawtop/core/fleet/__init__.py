"""Several hosts as one: what each says of itself, how they are ordered, and what they share."""
