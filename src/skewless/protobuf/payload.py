"""`Protobuf`: the payload of a stream whose records are protobuf messages."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message

from skewless.definitions.building import Build
from skewless.definitions.payloads import Payload
from skewless.protobuf.fields import FieldError, resolve
from skewless.types import describe


class Protobuf(Payload):
    """Records that hold one protobuf message each.

    descriptor: a generated message class; or a serialized ``FileDescriptorSet`` with all imports, as bytes or as the
        path of a file (``buf build -o x.binpb``, ``protoc --include_imports -o x.binpb``).
    message: the full name of the message, such as ``shop.v1.Payment``; not needed with a class.
    fields: for columns that are not read from the field of their own name: the field, dotted through messages
        (``{"lat": "location.lat"}``).

    Nothing is read before a project is built; every fault is told then. The meaning holds the numbers and types of the
    fields that are read, and nothing else of the descriptor.
    """

    def __init__(
        self,
        descriptor: bytes | str | os.PathLike[str] | type[Message],
        message: str | None = None,
        *,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        self.descriptor = descriptor
        self.message = message
        self.fields = dict(fields or {})

    def document(self, build: Build, columns: Mapping[str, str]) -> dict[str, Any]:
        try:
            message = self._find()
        except FieldError as error:
            build.fault(str(error), error.reason)
            return {"kind": "protobuf", "message": self.message or "unknown", "fields": _stand_ins(columns)}
        for column in self.fields:
            if column not in columns:
                with build.at("fields"):
                    known = ", ".join(columns)
                    build.fault(f"the source has no column {column!r}; it has {known}", "UNKNOWN_COLUMN")
        members = []
        for place, (column, kind) in enumerate(columns.items()):
            try:
                members.append(resolve(message, column, kind, self.fields.get(column, column)))
            except FieldError as error:
                with build.at(f"fields[{place}]"):
                    build.fault(str(error), error.reason)
                members.append(_stand_in(place, column, kind))
        return {"kind": "protobuf", "message": message.full_name, "fields": members}

    def _find(self) -> Descriptor:
        """The message's descriptor. Raises FieldError."""
        given = self.descriptor
        if isinstance(given, type) and issubclass(given, Message):
            found = cast("Descriptor", given.DESCRIPTOR)
            if self.message not in {None, found.full_name}:
                raise FieldError(
                    f"the class is of the message {found.full_name}, not {self.message!r}; leave message out",
                    "UNKNOWN_MESSAGE",
                )
            return found
        if not isinstance(given, bytes | str | os.PathLike):
            raise FieldError(
                "expected a generated message class, or a serialized FileDescriptorSet as bytes or the path of a "
                f"file, got {describe(given)}",
                "WRONG_TYPE",
            )
        files, where = _read(given)
        known = sorted(_messages(files))
        if self.message is None or self.message not in known:
            shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
            raise FieldError(
                f"{where} has no message {self.message!r}; give message=, one of: {shown}"
                if self.message is not None
                else f"give message=, the full name of one of the messages of {where}: {shown}",
                "UNKNOWN_MESSAGE",
            )
        return _pool(files, where).FindMessageTypeByName(self.message)


def _read(given: bytes | str | os.PathLike[str]) -> tuple[descriptor_pb2.FileDescriptorSet, str]:
    if isinstance(given, bytes):
        content, where = given, "the descriptor"
    else:
        where = os.fspath(given)
        try:
            content = Path(given).read_bytes()
        except OSError as error:
            hint = (
                ""
                if Path(given).is_absolute()
                else f"; a relative path counts from the working directory: give "
                f"Path(__file__).with_name({Path(given).name!r}) for a file beside the definitions"
            )
            raise FieldError(f"cannot read the descriptor: {error}{hint}", "UNREADABLE_DESCRIPTOR") from None
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(content)
    except DecodeError as error:
        raise FieldError(
            f"{where} is no serialized FileDescriptorSet ({error}); make one with `buf build -o x.binpb` or "
            "`protoc --include_imports -o x.binpb`",
            "UNREADABLE_DESCRIPTOR",
        ) from None
    return files, where


def _pool(files: descriptor_pb2.FileDescriptorSet, where: str) -> descriptor_pool.DescriptorPool:
    """A pool of its own, so that sets of two projects never meet."""
    pool = descriptor_pool.DescriptorPool()
    known = {file.name for file in files.file}
    waiting = {file.name: file for file in files.file}

    # Imports before what imports them; without recursion, as a chain of imports may be longer than calls may be deep.
    for name in list(waiting):
        path = [waiting.pop(name)] if name in waiting else []
        while path:
            file = path[-1]
            for needed in file.dependency:
                if needed not in known:
                    raise FieldError(
                        f"{where}: {file.name} imports {needed}, which is not in it; `protoc` takes it along with "
                        "--include_imports, `buf build` does so by itself",
                        "UNREADABLE_DESCRIPTOR",
                    )
            if (first := next((needed for needed in file.dependency if needed in waiting), None)) is not None:
                path.append(waiting.pop(first))
                continue
            path.pop()
            try:
                pool.Add(file)
            except TypeError as error:
                raise FieldError(f"{where}: {file.name}: {error}", "UNREADABLE_DESCRIPTOR") from None
    return pool


def _messages(files: descriptor_pb2.FileDescriptorSet) -> list[str]:
    """Full names, those of messages in messages included."""

    def below(prefix: str, messages: Any) -> list[str]:
        names = []
        for message in messages:
            name = f"{prefix}.{message.name}" if prefix else message.name
            names += [name, *below(name, message.nested_type)]
        return names

    return [name for file in files.file for name in below(file.package, file.message_type)]


_STAND_IN_TYPES = {"int64": "int64", "float64": "double", "bool": "bool", "timestamp": "timestamp"}


def _stand_ins(columns: Mapping[str, str]) -> list[dict[str, Any]]:
    return [_stand_in(place, column, kind) for place, (column, kind) in enumerate(columns.items())]


def _stand_in(place: int, column: str, kind: str) -> dict[str, Any]:
    """A field that the kernel has nothing to say about, so that the fault told here stays the only one."""
    numbers = [(1 << 29) - 1 - place]
    kind = _STAND_IN_TYPES.get(kind, "string")
    return {"column": column, "path": numbers, "type": kind, "presence": True, "names": None}
