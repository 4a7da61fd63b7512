"""Programs that run inside image builds, by themselves, with nothing but the standard library."""
