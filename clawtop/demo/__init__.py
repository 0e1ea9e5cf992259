"""A small world on loopback with scripted faults."""
