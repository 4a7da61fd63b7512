"""The online service: feature vectors for inference.

Comes in: GetOnlineFeatures and LogPrediction by gRPC, definitions from the registry, states from the online store.
Goes out: vectors with statuses and as-of tokens; every answer and prediction to the topic ``skewless.served``.
The read path is Rust and runs on its own threads in this process; Python hands it plans and takes served records.
"""
