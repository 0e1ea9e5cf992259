"""clawtop's own files: holders, journal, spooled marks, recordings."""
