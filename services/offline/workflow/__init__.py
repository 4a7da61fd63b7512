"""What the offline service does: read facts through ports, ask domain and kernel, carry out the answer."""
