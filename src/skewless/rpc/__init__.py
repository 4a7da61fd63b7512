"""gRPC as the services use it: servers with health, reflection, validation and rich errors; channels; watching.

`server` needs the extras of a service; `channel` and `watch` need only the library.
"""
