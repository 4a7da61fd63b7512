"""What the offline service decides: pure functions over Arrow columns."""
