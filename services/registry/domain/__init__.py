"""What a set of definitions would change, and whether it may. Pure."""
