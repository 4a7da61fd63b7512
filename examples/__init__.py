"""Runnable feature repositories, each with its own README."""
