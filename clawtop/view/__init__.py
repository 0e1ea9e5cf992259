"""Pure view models: a Snapshot and a time become rows and lines. No terminal library."""
