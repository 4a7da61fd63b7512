"""The registry's last answer in a file, for a start without the registry."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from skewless.api.registry.v1 import registry_service_pb2 as pb

log = logging.getLogger(__name__)

_FORM: Final = b"skewless definitions 1\n"


class KeptAnswer:
    """One answer of Watch in a file: a line with the form, a line with the SHA-256 of the rest, the message."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, answer: pb.WatchResponse) -> None:
        """Writes it in one step. That it cannot be written is logged: what is served does not depend on it."""
        content = answer.SerializeToString()
        fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(_FORM + hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            log.warning("the definitions cannot be kept in %s: %s", self._path, error)

    def read(self) -> pb.WatchResponse | None:
        """The answer; None if there is none that is whole, which is logged unless there is no file."""
        try:
            found = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("the definitions in %s cannot be read: %s", self._path, error)
            return None
        start = len(_FORM)
        hashed, content = found[start : start + 64], found[start + 65 :]
        if not found.startswith(_FORM) or hashlib.sha256(content).hexdigest().encode() != hashed:
            log.warning("%s does not hold whole definitions of this form: it is left alone", self._path)
            return None
        try:
            return pb.WatchResponse.FromString(content)
        except DecodeError as error:
            log.warning("the definitions in %s cannot be read: %s", self._path, error)
            return None
