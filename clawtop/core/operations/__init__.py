"""What an operation would change, before anything is written."""
