"""Skewless: a feature store that serves, trains and replays the very same values."""
