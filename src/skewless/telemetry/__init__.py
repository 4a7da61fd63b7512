"""What the mesh tells of itself: traces, metrics, logs.

Every name is declared once: spans and their attributes in ``docs/telemetry/spans.yaml``, for the code in `names`;
metrics in `metrics`, for people in ``docs/telemetry/metrics.md``. Tests compare them with each other and with what a
real mesh emits.

`spans` is what code uses to trace; without OpenTelemetry in the process it does nothing. `start` sets a service up.
"""
