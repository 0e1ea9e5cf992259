"""Several hosts as one: what each reports, how they are ordered, and what they share."""
