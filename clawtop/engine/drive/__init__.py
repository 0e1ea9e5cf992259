"""Driving a session: one turn over profiles and models, with its marks."""
