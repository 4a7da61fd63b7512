"""The kernel as the rest of the library sees it: the only module that names the extension."""

from skewless_kernel import (
    EXPRESSION_FUNCTIONS,
    SEMANTICS_REVISION,
    TZDATA_VERSION,
    ArrowBatch,
    DefinitionError,
    InputError,
    KernelError,
    StateError,
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
    "check_expression",
    "default_hop",
    "evaluate_expression",
    "floor_to_hop",
]
