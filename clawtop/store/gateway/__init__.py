"""The gateway from outside: whether it is alive, its log, its token."""
