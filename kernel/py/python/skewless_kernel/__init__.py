"""The kernel: the one place that decides what a feature's value is. Written in Rust, hosted by Python."""

from skewless_kernel._native import (
    EXPRESSION_FUNCTIONS,
    SEMANTICS_REVISION,
    TZDATA_VERSION,
    ArrowBatch,
    DefinitionError,
    InputError,
    KernelError,
    StateError,
    __build__,
    check_expression,
    default_hop,
    evaluate_expression,
    floor_to_hop,
)

__all__ = [
    "EXPRESSION_FUNCTIONS",
    "SEMANTICS_REVISION",
    "TZDATA_VERSION",
    "ArrowBatch",
    "DefinitionError",
    "InputError",
    "KernelError",
    "StateError",
    "__build__",
    "check_expression",
    "default_hop",
    "evaluate_expression",
    "floor_to_hop",
]
