"""Policy text seen as statements: their ids and how deeply they nest, found without a parser.

Why: Cedar's parser recurses on the machine's stack.
A policy that nests deeply enough ends the whole process, which no `except` can catch
(from about 700 brackets or 1,500 chained operators on an 8 MB stack).
So nothing reaches the parser before this scan has bounded it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remit.errors import Fault, PolicyError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_NESTING = 600
"""Bound of `Statement.nesting`; four for an open bracket, one for an operator of a chain."""

_BRACKET_WEIGHT = 4
_TOKEN = re.compile(
    r"""
    (?P<string> "(?:[^"\\]|\\.)*" )
  | (?P<comment> //[^\n\r]* )
  | (?P<open> [(\[{] )
  | (?P<close> [)\]}] )
  | (?P<comma> , )
  | (?P<operator> \|\| | && | [-+*.!<>=]+ | \b(?:if|in|has|like|is)\b )
  | (?P<id> @id\s*\(\s*"(?P<name>(?:[^"\\]|\\.)*)"\s*\) )
    """,
    re.VERBOSE | re.DOTALL,
)


_END = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n\r]*|(?P<end>;)', re.DOTALL)
_SIGN = re.compile(r"[-(\[{)\]}|&+*.!<>=]|\b(?:if|in|has|like|is)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One policy of a text.

    Args:
        text: the whole text.
        start: where it begins, in characters; the comments before it are part of it.
        end: where it ends, behind its semicolon.
    """

    text: str = field(repr=False, compare=False)
    start: int
    end: int

    @property
    def id(self) -> str:
        """The content of its `@id` annotation as written; empty where it has none."""
        return self._scanned()[0]

    @property
    def nesting(self) -> int:
        """Upper bound of how deeply a parser recurses on it."""
        return self._scanned()[1]

    def nests_beyond(self, limit: int) -> bool:
        """Return whether `nesting` is above a limit; most policies have too few signs for that."""
        signs = len(_SIGN.findall(self.text, self.start, self.end))
        return _BRACKET_WEIGHT * (signs + 1) > limit and self.nesting > limit

    def _scanned(self) -> tuple[str, int]:
        chains = [0]
        nesting, name = 0, ""
        for token in _TOKEN.finditer(self.text, self.start, self.end):
            kind = token.lastgroup
            if kind == "open":
                chains.append(0)
            elif kind == "close":
                if len(chains) > 1:
                    chains.pop()
                # `a[0][1]`, `f(x).g(y)` and `{…} {…}` chain brackets: count each like an operator.
                chains[-1] += 1
            elif kind == "comma":
                chains[-1] = 0
            elif kind == "operator":
                chains[-1] += 1
            elif kind == "id" and len(chains) == 1:
                name = token.group("name")
            if kind in _DEEPENING:
                nesting = max(nesting, sum(chains) + _BRACKET_WEIGHT * len(chains))
        return name, nesting


_DEEPENING = frozenset({"open", "close", "operator"})


def scan_statements(text: str) -> tuple[Statement, ...]:
    """Return the policies of a Cedar text in the order of Cedar's own `policy0`, `policy1`, …."""
    found: list[Statement] = []
    start = 0
    for token in _END.finditer(text):
        if token.lastgroup:
            found.append(Statement(text=text, start=start, end=token.end()))
            start = token.end()
    rest = Statement(text=text, start=start, end=len(text))
    return (*found, rest) if rest.nesting else tuple(found)


def check_nesting(text: str, statements: Sequence[Statement] | None = None) -> None:
    """Refuse a policy text that could exhaust the parser's stack.

    Args:
        text: the policies.
        statements: what `scan_statements` found in it, where that is known.

    Raises:
        PolicyError: a policy nests deeper than `MAX_NESTING`.
    """
    faults = [
        Fault(
            message=f"policy `{statement.id or f'policy{number}'}` nests too deeply for the policy engine",
            hint='compare with a set, such as `["a", "b"].contains(x)`, or split the rule',
        )
        for number, statement in enumerate(scan_statements(text) if statements is None else statements)
        if statement.nests_beyond(MAX_NESTING)
    ]
    if faults:
        raise PolicyError(*faults)
