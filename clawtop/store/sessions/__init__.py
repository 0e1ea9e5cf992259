"""Sessions and their transcripts: rows, trajectories, what is appended."""
