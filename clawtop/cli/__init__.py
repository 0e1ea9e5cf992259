"""The verbs of the shell, built from the commands table. Every heavy import is lazy."""
