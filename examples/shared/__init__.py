"""What the examples have in common: publishing, asking, learning, and the program around them."""
