"""Definitions: what features mean, written in Python, carried as canonical JSON. Pure: no I/O, no clock."""
