"""Where the mesh is and which project is meant."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from skewless.cli.answer import CliError, Exit
from skewless.cli.repository import Repository
from skewless.errors import SkewlessError
from skewless.local.mesh import SERVICES
from skewless.local.ports import LocalError
from skewless.local.state import MeshState, holder

if TYPE_CHECKING:
    from skewless.client import Store

ADDRESS: Final = "SKEWLESS_ADDRESS"
_FILES: Final = ("ca_file", "cert_file", "key_file")
_FORM: Final = "registry=HOST:PORT,online=HOST:PORT,..."


def given_address() -> str:
    """What ``SKEWLESS_ADDRESS`` says; empty if it is not set, or to nothing."""
    return os.environ.get(ADDRESS, "").strip()


def addresses(data: Path) -> dict[str, str]:
    """The address of each service: of ``SKEWLESS_ADDRESS``, else of the mesh in the data directory.

    Raises CliError when neither leads to a mesh.
    """
    if text := given_address():
        return _parse(text)
    state = running(data)
    if state is None:
        raise CliError(
            f"no mesh runs in {data}, and {ADDRESS} is not set; start one with `skewless up --data {data}`, "
            f"or set {ADDRESS}={_FORM}",
            Exit.NOT_REACHABLE,
        )
    return state.addresses


def running(data: Path) -> MeshState | None:
    """The mesh that runs in a data directory; None if none does. Raises CliError while it is only starting."""
    try:
        pid = holder(data)
        state = MeshState.read(data) if pid is not None else None
    except LocalError as error:
        raise CliError(str(error), Exit.NOT_REACHABLE) from error
    except OSError as error:
        raise CliError(f"{error.filename or data}: {error.strerror}; give another directory with --data") from error
    if pid is None:
        return None
    if state is None or state.pid != pid:
        raise CliError(
            f"process {pid} holds {data}, and is not ready or was not started by `skewless up`; "
            "try again in some seconds, or end that process",
            Exit.NOT_REACHABLE,
        )
    return state


def open_store(data: Path, project: str, *needs: str) -> Store:
    """A client of a project for these services. Raises CliError if one has no address."""
    from skewless.client import Store  # noqa: PLC0415 (gRPC is imported when a service is to be called)

    found = addresses(data)
    if lacking := [name for name in needs if name not in found]:
        raise CliError(
            f"{ADDRESS} does not name {', '.join(lacking)}; it has {', '.join(found)}, the form is {_FORM}",
            Exit.NOT_REACHABLE,
        )
    return Store(
        project,
        registry=found.get("registry"),
        online=found.get("online"),
        offline=found.get("offline"),
        stream_agg=found.get("stream_agg"),
        validator=found.get("validator"),
        **_access(),
    )


def _access() -> dict[str, Any]:
    """TLS and key towards the online service, as the environment says. Raises CliError."""
    given = {name: os.environ.get(f"SKEWLESS_{name.upper()}") for name in (*_FILES, "api_key", "api_key_file")}
    if given["api_key"] and given["api_key_file"]:
        raise CliError("SKEWLESS_API_KEY and SKEWLESS_API_KEY_FILE: give one of them")
    if path := given.pop("api_key_file"):
        try:
            given["api_key"] = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise CliError(f"SKEWLESS_API_KEY_FILE: {path}: {error.strerror}") from error
    asked = os.environ.get("SKEWLESS_TLS", "").lower()
    if asked not in ("", "true", "false"):
        raise CliError("SKEWLESS_TLS: must be true or false")
    return {name: value or None for name, value in given.items()} | {"tls": asked == "true"}


@contextlib.contextmanager
def project_store(data: Path, project: str | None, *needs: str) -> Iterator[Store]:
    """A client of the project that is meant. What is not known there is told with the project's name."""
    name = project_name(project)
    with open_store(data, name, *needs) as store:
        try:
            yield store
        except SkewlessError as error:
            if error.reason.value.startswith("UNKNOWN_"):
                error.add_note(f"in project {name!r}")
            raise


def project_name(given: str | None) -> str:
    """The project: as given, else of ``SKEWLESS_PROJECT``, else of ``skewless.toml`` here. Raises CliError."""
    if given:
        return given
    if named := os.environ.get("SKEWLESS_PROJECT"):
        return named
    here = Repository.find(Path.cwd())
    if here is None:
        raise CliError("which project? Give --project NAME, set SKEWLESS_PROJECT, or go where skewless.toml is")
    return here.project


def _parse(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    faults: list[str] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, address = part.partition("=")
        host, colon, port = address.rpartition(":")
        if name not in SERVICES:
            faults.append(f"{name!r} is no service; there are {', '.join(SERVICES)}")
        elif not equals or not colon or not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
            faults.append(f"{part!r} is not NAME=HOST:PORT")
        else:
            found[name] = address
    if faults:
        raise CliError(f"{ADDRESS} is to be {_FORM}: {'; '.join(faults)}")
    return found
