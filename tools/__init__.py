"""Tools for building Skewless; nothing here is part of the product."""
