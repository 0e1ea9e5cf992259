"""After an attempt: the next profile, the next model, or the end of the run."""
