"""`-k`: which cases are meant, by words of their names joined with `and`, `or`, `not` and brackets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remit.errors import Fault, FaultsError

if TYPE_CHECKING:
    from collections.abc import Callable

_TOKEN = re.compile(r"\s*(?:(?P<bracket>[()])|(?P<quoted>'[^']*'|\"[^\"]*\")|(?P<word>[^\s()'\"]+))")
_JOINS = ("and", "or", "not")
_HINT = "write such as `refund and not freeze`; put a name with spaces in quotes"


def select(expression: str) -> Callable[[str], bool]:
    """Return whether a name is meant by an expression; a word is looked for in the name, in any case.

    Args:
        expression: such as `refund and not (freeze or "a person")`; empty means every name.

    Raises:
        FaultsError: the expression cannot be read; says where.
    """
    if not expression.strip():
        return lambda _: True
    return _Parser(expression).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str, int]] = []
        position = 0
        while position < len(text.rstrip()):
            found = _TOKEN.match(text, position)
            if found is None:
                raise self._fault(position, "a quotation mark is not closed")
            kind = found.lastgroup or ""
            word = found[kind]
            self._tokens.append((kind, word[1:-1] if kind == "quoted" else word, found.start(kind)))
            position = found.end()
        self._at = 0

    def whole(self) -> Callable[[str], bool]:
        meant = self._either()
        if self._at < len(self._tokens):
            raise self._fault(
                self._tokens[self._at][2], f"`{self._tokens[self._at][1]}` is one word too many"
            )
        return meant

    def _fault(self, position: int, message: str) -> FaultsError:
        return FaultsError(
            Fault(message=f"{message} in `-k`", file="-k", line=1, column=position + 1, hint=_HINT)
        )

    def _next(self, *wanted: str) -> bool:
        if self._at < len(self._tokens):
            kind, word, _ = self._tokens[self._at]
            if kind != "quoted" and word in wanted:
                self._at += 1
                return True
        return False

    def _either(self) -> Callable[[str], bool]:
        parts = [self._both()]
        while self._next("or"):
            parts.append(self._both())
        return lambda name: any(part(name) for part in parts)

    def _both(self) -> Callable[[str], bool]:
        parts = [self._one()]
        while self._next("and"):
            parts.append(self._one())
        return lambda name: all(part(name) for part in parts)

    def _one(self) -> Callable[[str], bool]:
        if self._next("not"):
            inner = self._one()
            return lambda name: not inner(name)
        if self._next("("):
            inner = self._either()
            if not self._next(")"):
                raise self._fault(len(self._text), "a bracket is not closed")
            return inner
        if self._at == len(self._tokens):
            raise self._fault(len(self._text), "a word is missing")
        kind, word, position = self._tokens[self._at]
        if kind != "quoted" and word in (*_JOINS, ")"):
            raise self._fault(position, f"a word is missing before `{word}`")
        self._at += 1
        wanted = word.casefold()
        return lambda name: wanted in name.casefold()
