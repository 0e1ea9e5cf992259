"""One session at a time: who may prompt, fences, lanes, recovery, drain."""
