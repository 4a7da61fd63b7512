"""What the online service decides: which definitions its read path is given."""
