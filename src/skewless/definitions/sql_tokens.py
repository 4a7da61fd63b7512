"""The words of an SQL expression, each with its place in the text."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


class TokenKind(enum.Enum):
    """What a token is."""

    NAME = enum.auto()
    """A column or function; also a word that is none of the keywords."""
    QUOTED_NAME = enum.auto()
    KEYWORD = enum.auto()
    """In upper case, whatever the text has."""
    INTEGER = enum.auto()
    FLOAT = enum.auto()
    TEXT = enum.auto()
    SIGN = enum.auto()
    UNKNOWN = enum.auto()
    """A character that begins no token, or a quotation that does not end."""
    END = enum.auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token; line and column count characters from 1."""

    kind: TokenKind
    text: str
    line: int
    column: int


KEYWORDS: Final = frozenset(
    "AND AS BETWEEN CASE CAST ELSE END FALSE IN IS NOT NULL OR THEN TIMESTAMP TRUE WHEN".split()  # noqa: SIM905
)

_TOKEN: Final = re.compile(
    r"""
      (?P<SPACE>\s+)
    | (?P<FLOAT>(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
    | (?P<INTEGER>[0-9]+)
    | (?P<NAME>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<TEXT>'(?:[^']|'')*')
    | (?P<QUOTED_NAME>"(?:[^"]|"")+")
    | (?P<SIGN><>|!=|<=|>=|\|\||::|==|[-+*/%=<>(),.;\[\]])
    | (?P<UNKNOWN>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text, the last one of kind END."""
    line, line_start = 1, 0
    for match in _TOKEN.finditer(text):
        name, word = match.lastgroup, match.group()
        column = match.start() - line_start + 1
        if name == "NAME" and word.upper() in KEYWORDS:
            yield Token(TokenKind.KEYWORD, word.upper(), line, column)
        elif name == "TEXT":
            yield Token(TokenKind.TEXT, word[1:-1].replace("''", "'"), line, column)
        elif name == "QUOTED_NAME":
            yield Token(TokenKind.QUOTED_NAME, word[1:-1].replace('""', '"'), line, column)
        elif name is not None and name != "SPACE":
            yield Token(TokenKind[name], word, line, column)
        if "\n" in word:
            line += word.count("\n")
            line_start = match.start() + word.rindex("\n") + 1
    yield Token(TokenKind.END, "", line, len(text) - line_start + 1)
