"""The validator: whether what was served is what would be computed, and what served features look like.

Comes in: served vectors from the topic ``skewless.served``.
Goes out: replays to the offline service; a report by gRPC (`GetReport`); Prometheus metrics.
It keeps nothing: positions are committed behind what is decided, so a restart reads the rest again.
"""
