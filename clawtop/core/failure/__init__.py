"""From an error to its reason: signals, phrases, status rules."""
