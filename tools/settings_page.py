"""Writes ``docs/operations/settings.md``: every setting of every service, from where it is declared.

python -m tools.settings_page
"""

from __future__ import annotations

import dataclasses
import importlib
import typing
from pathlib import Path
from typing import Any, Final

from skewless.local.mesh import SERVICES
from skewless.settings import BrokerSettings, Secret, ServiceSettings, bare_type, variable

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "operations" / "settings.md"

_HEAD: Final = """\
# Settings

<!-- Written by `make settings-page`. -->

Every service reads its settings once, at its start: from the file that `SKEWLESS_SETTINGS_FILE` names, if it is set,
and on top of it from the environment. The file is TOML, a key per setting:

```toml
listen = "0.0.0.0:50052"
registry = "registry:50051"
threads = 4
store_url_file = "/run/secrets/store/url"
```

In the environment the same setting is `SKEWLESS_THREADS`. A variable that is set to nothing counts as not set, except
for texts. Every fault of file and environment is told at once, with its place, and the service ends with status 2: keys
that are no setting, values of another type or outside their bounds, settings that do not go together.

A **secret** must not stand in the file. It comes from its variable (`SKEWLESS_STORE_URL`), or from a file of its own
that `SKEWLESS_STORE_URL_FILE` or the key `store_url_file` names; the end of its line is cut off. As long as that file
is missing or empty the service waits: it looks every second, says so in its log, and its health answers. Secrets are
shown nowhere; the log of a service's start has all other settings.

## Readiness

A service answers the gRPC health protocol on its own port from the start. The name `live` is `SERVING` as long as the
process lives. The empty name is `SERVING` once everything that the service cannot do without has answered for the first
time; the log says what is waited for.

| Service | Ready once it has |
| --- | --- |
| `registry` | its database, and again whenever that goes and comes back |
| `online` | the registry's definitions, the store, the broker (unless `served_log` is false) |
| `offline`, `stream_agg` | the registry's definitions, the broker, the store |
| `validator` | the broker |

What goes away later does not take a service out of its duty: it goes on with what it has and says in its answers what
it lacks ([architecture](../architecture.md#when-a-part-is-down)).
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD, "## All services\n", _table(ServiceSettings, set())]
    common = _names(ServiceSettings)
    parts += ["## All services but the registry\n", _table(BrokerSettings, common)]
    for service in SERVICES:
        settings = importlib.import_module(f"services.{service}.settings").Settings
        left_out = (_names(BrokerSettings) if issubclass(settings, BrokerSettings) else common) - {"listen"}
        parts += [f"## {service}\n", _table(settings, left_out)]
    return "\n".join(parts)


def _names(kind: type[Any]) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def _table(kind: type[Any], left_out: set[str]) -> str:
    """The settings of a class as a table."""
    hints = typing.get_type_hints(kind)
    rows = ["| Key | Variable | Type | Default | Is |", "| --- | --- | --- | --- | --- |"]
    for field in dataclasses.fields(kind):
        if field.name not in left_out:
            cells = (
                f"`{field.name}`",
                f"`{variable(field)}`",
                _type(hints[field.name]),
                _default(field.default),
                field.metadata["doc"],
            )
            rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def _type(hint: Any) -> str:
    words = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", Secret: "secret"}
    hint = bare_type(hint)
    if typing.get_origin(hint) is tuple:
        return f"list of {words[typing.get_args(hint)[0]]}s"
    return words[hint]


def _default(value: object) -> str:
    if isinstance(value, Secret):
        value = value.reveal()
    if value is None or value in ("", ()):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
