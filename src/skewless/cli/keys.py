"""``key create``, ``key list`` and ``key revoke``: API keys of the online service."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from skewless.cli import values
from skewless.cli.answer import Answer, CliError, table

if TYPE_CHECKING:
    from skewless.client import ApiKey, Store

_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def created(store: Store, name: str, services: Sequence[str], expires_in: str | None) -> Answer:
    """Makes a key and shows it, once."""
    until = None if expires_in is None else dt.datetime.now(dt.UTC) + _span(expires_in)
    made = store.create_api_key(name, feature_services=services, expires_at=until)
    document = {**_document(made.api_key), "key": made.key}
    text = f"{made.key}\nKept nowhere: note it now. `skewless key revoke {made.api_key.id}` ends it."
    return Answer(document, text)


def listed(store: Store) -> Answer:
    """All keys of the project."""
    found = [_document(key) for key in store.list_api_keys()]
    names = ("id", "name", "state", "feature_services", "created_at", "expires_at", "last_used_at")
    rows = [[_cell(document[name]) for name in names] for document in found]
    return Answer({"api_keys": found}, table([name.replace("_", " ") for name in names], rows))


def revoked(store: Store, key_id: str) -> Answer:
    """Ends a key."""
    key = store.revoke_api_key(key_id)
    return Answer(_document(key), f"revoked {key.id} ({key.name}); servers refuse it some seconds from now")


def _document(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "state": key.state(time.time_ns() // 1_000),
        "feature_services": list(key.feature_services),
        "created_at": values.moment(key.created_at_us),
        "expires_at": values.moment(key.expires_at_us),
        "revoked_at": values.moment(key.revoked_at_us),
        "last_used_at": values.moment(key.last_used_at_us),
    }


def _cell(value: object) -> object:
    if isinstance(value, list):
        return ", ".join(value) or "all"
    return value if not isinstance(value, str) or value.isprintable() else repr(value)[1:-1]


def _span(text: str) -> dt.timedelta:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise CliError(f"--expires-in takes a number and s, m, h or d, such as 90d; got {text!r}")
    return dt.timedelta(**{_UNITS[found[2]]: int(found[1])})
