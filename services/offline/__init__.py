"""The offline service: history.

Comes in: materialize, historical frames, replay and explain by gRPC; served vectors and predictions from the topic
``skewless.served``; definitions from the registry.
Goes out: runs of batch views as Delta tables and, row by row, to the online store; the served log as a Delta table.
Reads the event logs that the stream aggregator writes. Every value is the kernel's.
"""
