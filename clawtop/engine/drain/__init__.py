"""Freeing a stuck session, stage by stage."""
