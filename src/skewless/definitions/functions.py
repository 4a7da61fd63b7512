"""Python functions as on-demand features: what may be one, and its part of a document.

A document names a function by its module and its name and pins the file of the module by its hash. What is refused
here is what another process could not import and call alike.
"""

from __future__ import annotations

import dis
import hashlib
import importlib
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from skewless.definitions.building import Build
from skewless.definitions.durations import Duration
from skewless.types import Cell, ValueType, describe

REQUEST_TIME: Final = "request_time_us"
"""The parameter that gets the request time."""

_HINTS: Final[Mapping[str, type]] = {
    ValueType.INT64: int,
    ValueType.FLOAT64: float,
    ValueType.BOOL: bool,
    ValueType.STRING: str,
    ValueType.TIMESTAMP: int,
}
_CONSTANTS: Final = (types.NoneType, bool, int, float, str, bytes)
_NO_FUNCTION: Final[dict[str, Any]] = {
    "module": "unknown",
    "name": "unknown",
    "source": "0" * 64,
    "arguments": [],
}
"""The stand-in of a function that cannot be used."""


@dataclass(frozen=True)
class PythonFunction:
    """A pure function at the top of a module, as an on-demand feature. To declare one is to say that it is pure: its
    value depends on its arguments, its source and what it imports, and on nothing else.

    function: the function, or ``package.module:name``. Its parameters are named like the inputs and request fields that
        they get, null as None; ``request_time_us`` gets the request time.
    type: the type of its value; None is null.
    budget: how long the call for one row may take; it is ended then, and the value is NOT_COMPUTED.
    """

    function: Callable[..., Cell] | str
    type: str
    budget: Duration = "5ms"

    def feature(self, build: Build, columns: Mapping[str, str]) -> dict[str, Any]:
        """The members ``type`` and ``function`` of a feature. columns: the row's columns with their types."""
        with build.at("function"):
            budget_us = self._budget(build)
            found = self._found(build)
            if found is None:
                return {"type": str(self.type), "function": {**_NO_FUNCTION, "budget_us": budget_us}}
            faults = list(_faults(found))
            for reason, text in faults:
                build.fault(f"{_name(found)}: {text}", reason)
            source = _source(build, found)
            arguments = [] if faults else _arguments(build, found, columns, str(self.type))
            function = {
                "module": found.__module__,
                "name": found.__name__ if found.__name__.isidentifier() else "unknown",
                "source": source,
                "arguments": arguments,
                "budget_us": budget_us,
            }
        return {"type": str(self.type), "function": function}

    def _budget(self, build: Build) -> int:
        with build.at("budget"):
            found = build.readable_length(self.budget)
        return 5_000 if found is None else found

    def _found(self, build: Build) -> types.FunctionType | None:
        function: object = self.function
        if isinstance(function, str):
            module, colon, name = function.partition(":")
            if not colon:
                build.fault(f"expected package.module:function, got {function!r}", "MALFORMED_REFERENCE")
                return None
            try:
                function = getattr(importlib.import_module(module), name)
            except Exception as error:  # noqa: BLE001 (whatever the module raises when it is imported)
                text = f"{type(error).__name__}: {error}"
                build.fault(f"{self.function} cannot be imported: {text}; install its package here", "NOT_IMPORTABLE")
                return None
        if not isinstance(function, types.FunctionType):
            build.fault(
                f"expected a function that a module defines with def, got {describe(function)}; write such a one",
                "NOT_A_FUNCTION",
            )
            return None
        return function


def _name(function: types.FunctionType) -> str:
    return f"{function.__module__}:{function.__qualname__}"


def _faults(function: types.FunctionType) -> Iterator[tuple[str, str]]:
    """Why a service could not call this function as it is called here."""
    if function.__name__ == "<lambda>":
        yield "LAMBDA", "a lambda has no name that it could be imported by; define it with def at the top of a module"
        return
    if (place := _misplaced(function)) is not None:
        yield place
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        yield "ASYNC_FUNCTION", "it is async; a function computes and waits for nothing, write def"
    elif inspect.isgeneratorfunction(function):
        yield "GENERATOR_FUNCTION", "it is a generator; return one value instead of yielding"
    yield from _parameter_faults(function)
    for code in _codes(function.__code__):
        for step in dis.get_instructions(code):
            if step.opname == "IMPORT_NAME":
                yield "LATE_IMPORT", f"it imports {step.argval} when it is called; import it at the top of the module"
            elif step.opname in {"STORE_GLOBAL", "DELETE_GLOBAL"}:
                yield "NOT_PURE", f"it changes the global {step.argval}; a pure function leaves no trace"


def _misplaced(function: types.FunctionType) -> tuple[str, str] | None:
    if function.__closure__:
        return (
            "CLOSURE",
            "it uses variables of a function around it; pass them as arguments, or write them as constants",
        )
    if "." in function.__qualname__:
        return "NESTED_FUNCTION", "it is defined within another function or a class; move it to the top of a module"
    why = _not_importable(function)
    return None if why is None else ("NOT_IMPORTABLE", why)


def _parameter_faults(function: types.FunctionType) -> Iterator[tuple[str, str]]:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            yield "BAD_PARAMETER", f"the parameter {parameter} is not a plain one; name each input in a parameter"
        elif parameter.default is not parameter.empty and not _is_constant(parameter.default):
            text = f"the default of {parameter.name} is {describe(parameter.default)}, which calls could change"
            yield "MUTABLE_DEFAULT", f"{text}; write None, a number, a text or a tuple of them"


def _is_constant(value: object) -> bool:
    if isinstance(value, tuple):
        return all(_is_constant(item) for item in value)
    return isinstance(value, _CONSTANTS)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _not_importable(function: types.FunctionType) -> str | None:
    """Why an import by its name would not lead to this function."""
    name = function.__module__
    advice = "move it to a module of a package that is installed here and with the services"
    if name == "__main__":
        return f"it is defined in the program that runs; {advice}"
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if module is None or spec is None or name.startswith("skewless_definitions_"):
        return f"it is defined in a file of definitions, not in a package; {advice}"
    if getattr(module, function.__name__, None) is not function:
        return f"{name}.{function.__name__} is another object; name the function as it is defined, undecorated"
    return None


def _source(build: Build, function: types.FunctionType) -> str:
    """SHA-256 of the file of the function's module."""
    path = str(getattr(sys.modules.get(function.__module__), "__file__", None) or "no file")
    why = f"it comes from {path}, and a .py file is needed"
    if path.endswith(".py"):
        try:
            return hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError as error:
            why = str(error)
    build.fault(f"{_name(function)}: the source of its module cannot be read: {why}", "SOURCE_UNREADABLE")
    return "0" * 64


def _arguments(build: Build, function: types.FunctionType, columns: Mapping[str, str], kind: str) -> list[str]:
    """The parameters that get columns; those that are left to their defaults are not among them."""
    try:
        hints = typing.get_type_hints(function)
    except Exception as error:  # noqa: BLE001 (annotations are code)
        build.fault(f"{_name(function)}: its annotations cannot be read: {error}; correct them", "WRONG_TYPE")
        hints = {}
    known = {REQUEST_TIME: ValueType.TIMESTAMP.value, **{name: str(column) for name, column in columns.items()}}
    names = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in known:
            names.append(parameter.name)
            _check_hint(
                build, function, f"parameter {parameter.name}", hints.get(parameter.name), known[parameter.name]
            )
        elif parameter.default is parameter.empty:
            build.fault(
                f"{_name(function)}: the parameter {parameter.name} is no input and no request field of the view, nor "
                f"{REQUEST_TIME}; there are {', '.join(columns) or 'none'}",
                "UNKNOWN_COLUMN",
            )
    _check_hint(build, function, "result", hints.get("return"), kind)
    return names


def _check_hint(build: Build, function: types.FunctionType, what: str, hint: Any, kind: str) -> None:
    """Compares an annotation, if there is one that says a single type, with the type of a column."""
    options = [hint]
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        options = [option for option in typing.get_args(hint) if option is not types.NoneType]
    wanted = _HINTS.get(kind)
    if hint is None or wanted is None or len(options) != 1 or options[0] not in set(_HINTS.values()):
        return
    if options[0] is not wanted:
        build.fault(
            f"{_name(function)}: the {what} is annotated as {options[0].__name__}, and {kind} is {wanted.__name__}; "
            "correct the annotation or the type",
            "WRONG_TYPE",
        )
