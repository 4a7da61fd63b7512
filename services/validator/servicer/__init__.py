"""The doors through which the validator is asked: gRPC and Prometheus."""
