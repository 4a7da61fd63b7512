"""Folds streams into online states, each event exactly once in effect.

In: the catalogue (registry, Watch), source topics (Kafka).
Out: window and latest states with their sentinels (store), event logs and the progress table (Delta),
re-keyed logs ``skewless.rekeyed.*`` and dead letters ``skewless.dead-letter`` (Kafka),
`StreamAggService` (gRPC): status, reading again, dead letters.
"""
