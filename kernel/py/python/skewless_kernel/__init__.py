"""The kernel: the one place that decides what a feature's value is. Written in Rust, hosted by Python."""

from skewless_kernel._native import (
    SEMANTICS_REVISION,
    __build__,
    default_hop,
    floor_to_hop,
)

__all__ = ["SEMANTICS_REVISION", "__build__", "default_hop", "floor_to_hop"]
