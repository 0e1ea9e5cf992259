"""The gateway from outside: is it alive, what does its log say, its token."""
