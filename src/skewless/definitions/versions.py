"""What changed between two meanings, and which version that calls for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from skewless.definitions.resource import Definition, Kind, Version

MOST_LINES: Final = 100
LONGEST_VALUE: Final = 200
_ABSENT: Final = object()


def next_version(applied: Definition, wanted: Definition, taken: Iterable[Version]) -> Version:
    """The version that ``wanted`` should bear, beside ``applied`` and the other versions of the same name.

    Major: the meaning or the type of an existing feature changes, or one goes. Minor: features are only added.
    Patch: only words change. The lowest of its kind that is not taken.
    """
    assert applied.version is not None  # noqa: S101 (only versioned kinds come here)
    versions = [applied.version, *taken]
    if applied.meaning_json == wanted.meaning_json:
        own = [v.patch for v in versions if v[:2] == applied.version[:2]]
        return Version(applied.version.major, applied.version.minor, max(own) + 1)
    if only_adds(applied, wanted):
        own = [v.minor for v in versions if v.major == applied.version.major]
        return Version(applied.version.major, max(own) + 1, 0)
    return Version(max(v.major for v in versions) + 1, 0, 0)


def only_adds(applied: Definition, wanted: Definition) -> bool:
    """Whether every feature of ``applied`` is in ``wanted`` with the same meaning.

    A vector's order is part of what a feature service means: there, features may only be added at the end.
    """
    old, new = json.loads(applied.meaning_json), json.loads(wanted.meaning_json)
    old_features, new_features = old.pop("features", []), new.pop("features", [])
    if applied.kind is Kind.ON_DEMAND_VIEW:
        # What is read beside what was read changes no feature.
        for member in ("inputs", "request"):
            if any(item not in new[member] for item in old[member]):
                return False
            del old[member], new[member]
    if old != new:
        return False
    if applied.kind is Kind.FEATURE_SERVICE:
        return bool(new_features[: len(old_features)] == old_features)
    return all(feature in new_features for feature in old_features)


def differences(applied: Definition, wanted: Definition) -> list[str]:
    """What differs, one per line, ``path: old -> new``; first the meaning, then the words beside it.

    Features, columns and other named things are compared by name. At most 100 lines.
    """
    lines = list(_compare("", json.loads(applied.meaning_json), json.loads(wanted.meaning_json)))
    for member in ("description", "owner"):
        lines += _compare(member, getattr(applied, member), getattr(wanted, member))
    lines += _compare("tags", dict(applied.tags), dict(wanted.tags))
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], f"... and {len(lines) - MOST_LINES + 1} more"]
    return lines


def _compare(path: str, old: Any, new: Any) -> Iterator[str]:
    if old == new and type(old) is type(new):
        return
    old_items, new_items = _items(old), _items(new)
    if old_items is not None and new_items is not None:
        yield from _compare_items(path, old_items, new_items)
        return
    yield f"{path or 'meaning'}: {_shown(old)} -> {_shown(new)}"


def _compare_items(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before = list(old)
    for name in [*before, *(name for name in new if name not in old)]:
        step = f"{path}{name}" if name.startswith("[") else f"{path}.{name}" if path else name
        yield from _compare(step, old.get(name, _ABSENT), new.get(name, _ABSENT))
    if set(old) == set(new) and before != list(new) and any(name.startswith("[") for name in before):
        yield f"{path}: order {_order(before)} -> {_order(list(new))}"


def _items(value: Any) -> dict[str, Any] | None:
    """The parts of an object by name, of a list of named things by ``[name]``; None for what has no named parts."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        return None
    names = [str(item.get("name") or f"{item.get('view')}:{item.get('feature')}") for item in value]
    return dict(zip((f"[{name}]" for name in names), value, strict=True)) if len(set(names)) == len(names) else None


def _order(names: list[str]) -> str:
    return _cut(", ".join(name.strip("[]") for name in names))


def _shown(value: Any) -> str:
    return "absent" if value is _ABSENT else _cut(json.dumps(value, ensure_ascii=False, sort_keys=True))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."
