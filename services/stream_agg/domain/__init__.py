"""What the aggregator decides: where to begin, what is a duplicate, what may be committed. No clock, no I/O."""
