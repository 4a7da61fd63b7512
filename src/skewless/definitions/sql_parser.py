"""The grammar of SQL expressions: tokens to a tree, by recursive descent (docs/expressions.md).

The grammar is this module's own: what comes out is hashed, so it must not move with the release of a parser.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from skewless.definitions.sql_tokens import Token, TokenKind, tokens

MAX_DEPTH: Final = 60
"""The deepest nesting of the document, and of parentheses in the text."""
FUNCTIONS: Final = frozenset(
    {"add", "sub", "mul", "div", "mod", "neg", "abs", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not"}
    | {"is_null", "case", "coalesce", "nullif", "clip", "least", "greatest", "to_float", "to_int"}
    | {"sqrt", "ln", "exp", "pow", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "haversine_km"}
    | {"hour", "minute", "weekday", "day", "month", "year", "is_weekend"}
    | {"length", "contains", "element"}
)
"""Every function of the kernel, which holds the table; a test compares the two."""

_ALLOWED: Final = (
    "allowed are column names, literals, + - * / %, comparisons, AND, OR, NOT, IS NULL, BETWEEN, IN with literals, "
    "CASE, CAST, places in lists such as l[1], and the functions of docs/expressions.md"
)
_COMPARISONS: Final = {"=": "eq", "<>": "ne", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_SUMS: Final = {"+": "add", "-": "sub"}
_PRODUCTS: Final = {"*": "mul", "/": "div", "%": "mod"}
_CASTS: Final = {
    "DOUBLE": "float64",
    "FLOAT8": "float64",
    "FLOAT64": "float64",
    "BIGINT": "int64",
    "INT8": "int64",
    "INT64": "int64",
}
_NULL_CASTS: Final = {
    **_CASTS,
    "BOOLEAN": "bool",
    "BOOL": "bool",
    "VARCHAR": "string",
    "TEXT": "string",
    "STRING": "string",
    "TIMESTAMP": "timestamp",
}
_INT64: Final = range(-(2**63), 2**63)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ExpressionFault:
    """One thing wrong with a text; line and column count characters from 1."""

    line: int
    column: int
    reason: str
    """Stable, upper snake: EXPRESSION_TOO_LARGE, EXPRESSION_TOO_DEEP, SYNTAX, UNSUPPORTED, UNKNOWN_FUNCTION,
    WRONG_ARGUMENT_COUNT, INVALID_LITERAL."""
    message: str
    """What is wrong and how to put it right."""

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}"


@dataclass(frozen=True, slots=True)
class Node:
    """A node with its place. `members` are the JSON members beside `op` and `args`; no call has None as `args`."""

    op: str
    at: Token
    members: Mapping[str, Any] = field(default_factory=dict)
    args: tuple[Node, ...] | None = None
    depth: int = 1


class StoppedError(Exception):
    """The rest of the text cannot be read; the fault is already noted."""


def _literal(at: Token, kind: str, value: object) -> Node:
    return Node("lit", at, {"type": kind, "value": value})


class Parser:
    """Reads one text. One method per level of binding, weakest first; `faults` gathers what is wrong."""

    def __init__(self, text: str) -> None:
        self._tokens = tuple(tokens(text))
        self._next = 0
        self._nesting = 0
        self._too_deep = False
        self.faults: list[ExpressionFault] = []

    def whole(self) -> Node:
        """The tree of the whole text. Raises StoppedError at the first error of syntax."""
        node = self._disjunction()
        if self._ahead.kind is not TokenKind.END:
            raise self._stop(self._ahead, f"{_shown(self._ahead)} is not expected here; {_ALLOWED}")
        return node

    # --- Levels -------------------------------------------------------------------------------------------

    def _disjunction(self) -> Node:
        self._nesting += 1
        if self._nesting > MAX_DEPTH:
            raise self._stop(
                self._ahead, f"nested more than {MAX_DEPTH} deep; split the feature in two", "EXPRESSION_TOO_DEEP"
            )
        node = self._chain("OR", self._conjunction)
        self._nesting -= 1
        return node

    def _conjunction(self) -> Node:
        return self._chain("AND", self._negation)

    def _chain(self, keyword: str, operand: Callable[[], Node]) -> Node:
        """Operands joined by one keyword become one call: long chains stay flat."""
        operands = [operand()]
        at = self._ahead
        while self._taken(keyword):
            operands.append(operand())
        return operands[0] if len(operands) == 1 else self._call(at, keyword.lower(), *operands)

    def _negation(self) -> Node:
        nots = []
        while self._ahead_is("NOT"):
            nots.append(self._take())
        node = self._comparison()
        for at in reversed(nots):
            node = self._call(at, "not", node)
        return node

    def _comparison(self) -> Node:
        left = self._sum()
        node = self._compared(left)
        again = self._ahead
        if node is not left and self._compared(left) is not left:
            raise self._stop(again, "comparisons do not chain; use parentheses and AND")
        return node

    def _compared(self, left: Node) -> Node:
        """`left` with the comparison that follows it, or `left` itself if none does."""
        at = self._ahead
        if at.kind is TokenKind.SIGN and at.text in _COMPARISONS:
            self._take()
            return self._call(at, _COMPARISONS[at.text], left, self._sum())
        if self._taken("IS"):
            negated = self._taken("NOT")
            self._expect("NULL", "IS is followed by NULL or NOT NULL")
            return self._negated_if(negated, at, self._call(at, "is_null", left))
        negated = self._taken("NOT")
        if self._taken("BETWEEN"):
            low = self._sum()
            self._expect("AND", "BETWEEN has the form: x BETWEEN low AND high")
            bounds = self._call(at, "ge", left, low), self._call(at, "le", left, self._sum())
            return self._negated_if(negated, at, self._call(at, "and", *bounds))
        if self._taken("IN"):
            return self._negated_if(negated, at, self._membership(at, left))
        if negated:
            raise self._stop(self._ahead, "after a value NOT is followed by BETWEEN or IN")
        return left

    def _membership(self, at: Token, left: Node) -> Node:
        self._expect("(", "IN is followed by literals in parentheses: x IN (1, 2)")
        tests = []
        while True:
            member = self._sum()
            if member.op != "lit" or member.members["type"] == "null":
                self._fault(member.at, "UNSUPPORTED", "IN takes literals only, and not NULL; compare with = and OR")
            tests.append(self._call(at, "eq", left, member))
            if not self._taken(","):
                break
        self._expect(")", "the list of IN ends with a parenthesis")
        return tests[0] if len(tests) == 1 else self._call(at, "or", *tests)

    def _negated_if(self, negated: bool, at: Token, node: Node) -> Node:
        return self._call(at, "not", node) if negated else node

    def _sum(self) -> Node:
        return self._left_to_right(_SUMS, self._product)

    def _product(self) -> Node:
        return self._left_to_right(_PRODUCTS, self._signed)

    def _left_to_right(self, operators: Mapping[str, str], operand: Callable[[], Node]) -> Node:
        node = operand()
        while self._ahead.kind is TokenKind.SIGN and self._ahead.text in operators:
            at = self._take()
            node = self._call(at, operators[at.text], node, operand())
        return node

    def _signed(self) -> Node:
        signs = []
        while self._ahead.kind is TokenKind.SIGN and self._ahead.text in _SUMS:
            signs.append(self._take())
        minuses = [sign for sign in signs if sign.text == "-"]
        number = self._ahead
        # A minus before a number is part of it: the least integer has no positive twin.
        if minuses and number.kind in {TokenKind.INTEGER, TokenKind.FLOAT}:
            self._take()
            node = self._number(minuses.pop(), f"-{number.text}", number.kind)
        else:
            node = self._primary()
        for at in reversed(minuses):
            node = self._call(at, "neg", node)
        return node

    # --- Primaries ----------------------------------------------------------------------------------------

    def _primary(self) -> Node:
        at = self._take()
        node: Node | None = None
        match at.kind:
            case TokenKind.INTEGER | TokenKind.FLOAT:
                node = self._number(at, at.text, at.kind)
            case TokenKind.TEXT:
                node = _literal(at, "string", at.text)
            case TokenKind.NAME if self._ahead_is("("):
                node = self._function(at)
            case TokenKind.NAME | TokenKind.QUOTED_NAME:
                node = self._named(at)
            case TokenKind.KEYWORD:
                node = self._keyword(at)
            case TokenKind.SIGN if at.text == "(":
                node = self._disjunction()
                self._expect(")", f"the parenthesis of line {at.line}, column {at.column} is not closed")
        if node is None:
            raise self._stop(at, f"{_shown(at)} is not expected here; {_ALLOWED}")
        while self._ahead_is("["):
            bracket = self._take()
            node = self._call(bracket, "element", node, self._disjunction())
            self._expect("]", "a place in a list ends with a bracket: l[1]")
        return node

    def _named(self, at: Token) -> Node:
        if self._ahead_is("."):
            raise self._stop(self._ahead, "a column is named without its table or view", "UNSUPPORTED")
        return Node("col", at, {"name": at.text})

    def _keyword(self, at: Token) -> Node:
        match at.text:
            case "NULL":
                return _literal(at, "null", None)
            case "TRUE" | "FALSE":
                return _literal(at, "bool", at.text == "TRUE")
            case "TIMESTAMP":
                return self._timestamp(at)
            case "CASE":
                return self._case(at)
            case "CAST":
                return self._cast(at)
        raise self._stop(at, f"{at.text} is not expected here; {_ALLOWED}")

    def _number(self, at: Token, text: str, kind: TokenKind) -> Node:
        if kind is TokenKind.INTEGER:
            digits = text.lstrip("-")
            # Python refuses to read thousands of digits; none of them would fit.
            value = int(text) if len(digits.lstrip("0")) <= 19 else 2**63
            if value not in _INT64:
                self._fault(
                    at, "INVALID_LITERAL", f"{text[:40]} does not fit 64 bits; write {text[:20]}.0 for a float64"
                )
            return _literal(at, "int64", str(value))
        number = float(text) + 0.0
        if not math.isfinite(number):
            self._fault(at, "INVALID_LITERAL", f"{text[:40]} is beyond the largest float64")
        return _literal(at, "float64", number)

    def _timestamp(self, at: Token) -> Node:
        text = self._take()
        if text.kind is not TokenKind.TEXT:
            raise self._stop(text, "TIMESTAMP is followed by a text: TIMESTAMP '2024-05-01T12:00:00Z'")
        form = _TIMESTAMP.fullmatch(text.text)
        try:
            instant = datetime.fromisoformat(text.text) if form else None
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None:
            words = "is no timestamp with at most six digits of a second" if instant is None else "has no zone"
            advice = "write it like TIMESTAMP '2024-05-01T12:00:00Z'"
            self._fault(text, "INVALID_LITERAL", f"{text.text[:40]!r} {words}; {advice}")
            return _literal(at, "timestamp", None)
        return _literal(at, "timestamp", str((instant - _EPOCH) // timedelta(microseconds=1)))

    def _case(self, at: Token) -> Node:
        subject = None if self._ahead_is("WHEN") else self._disjunction()
        args = []
        while self._ahead_is("WHEN"):
            when = self._take()
            condition = self._disjunction()
            args.append(condition if subject is None else self._call(when, "eq", subject, condition))
            self._expect("THEN", "WHEN has the form: WHEN condition THEN value")
            args.append(self._disjunction())
        if not args:
            raise self._stop(self._ahead, "CASE has at least one WHEN condition THEN value")
        args.append(self._disjunction() if self._taken("ELSE") else _literal(self._ahead, "null", None))
        self._expect("END", "CASE ends with END")
        return self._call(at, "case", *args)

    def _cast(self, at: Token) -> Node:
        self._expect("(", "CAST has the form: CAST(x AS DOUBLE)")
        node = self._disjunction()
        self._expect("AS", "CAST has the form: CAST(x AS DOUBLE)")
        target = self._take()
        name = target.text.upper()
        if name == "DOUBLE" and self._ahead.text.upper() == "PRECISION":
            self._take()
        self._expect(")", "CAST ends with a parenthesis after the type")
        if node.op == "lit" and node.members["type"] == "null" and name in _NULL_CASTS:
            return _literal(at, _NULL_CASTS[name], None)
        if name not in _CASTS:
            self._fault(target, "UNSUPPORTED", f"cannot cast to {target.text[:40]}; allowed are DOUBLE and BIGINT")
            return node
        return self._call(at, "to_float" if _CASTS[name] == "float64" else "to_int", node)

    def _function(self, at: Token) -> Node:
        self._take()
        args: list[Node] = []
        if not self._taken(")"):
            args.append(self._disjunction())
            while self._taken(","):
                args.append(self._disjunction())
            self._expect(")", f"the arguments of {at.text} end with a parenthesis")
        name = at.text.lower()
        if name == "request_time":
            if args:
                self._fault(at, "WRONG_ARGUMENT_COUNT", "request_time() takes no arguments")
            return Node("request_time", at)
        if name not in FUNCTIONS:
            listed = ", ".join(sorted(FUNCTIONS | {"request_time"}))
            self._fault(at, "UNKNOWN_FUNCTION", f"no function {at.text[:40]}; there are {listed}")
        return self._call(at, name, *args)

    # --- Tokens and faults --------------------------------------------------------------------------------

    @property
    def _ahead(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._ahead
        if token.kind is not TokenKind.END:
            self._next += 1
        return token

    def _ahead_is(self, word: str) -> bool:
        token = self._ahead
        return token.text == word and token.kind in {TokenKind.KEYWORD, TokenKind.SIGN}

    def _taken(self, word: str) -> bool:
        if not self._ahead_is(word):
            return False
        self._take()
        return True

    def _expect(self, word: str, advice: str) -> None:
        if not self._taken(word):
            raise self._stop(self._ahead, f"{_shown(self._ahead)} stands where {word} belongs; {advice}")

    def _call(self, at: Token, function: str, *args: Node) -> Node:
        depth = 1 + max((arg.depth for arg in args), default=0)
        if depth > MAX_DEPTH and not self._too_deep:
            self._too_deep = True
            message = f"calls nest more than {MAX_DEPTH} deep; add parentheses so that terms join in groups"
            self._fault(at, "EXPRESSION_TOO_DEEP", message)
        return Node("call", at, {"fn": function}, args, depth)

    def _fault(self, at: Token, reason: str, message: str) -> None:
        self.faults.append(ExpressionFault(at.line, at.column, reason, message))

    def _stop(self, at: Token, message: str, reason: str = "SYNTAX") -> StoppedError:
        self._fault(at, reason, message)
        return StoppedError()


def _shown(token: Token) -> str:
    if token.kind is TokenKind.END:
        return "the end"
    return repr(token.text[:40]) if token.kind is TokenKind.TEXT else token.text[:40]
