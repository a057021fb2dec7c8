"""Policy text seen as statements: their ids and how deeply they nest, found without a parser.

Why: Cedar's parser recurses on the machine's stack.
A policy that nests deeply enough ends the whole process, which no `except` can catch
(from about 700 brackets or 1,500 chained operators on an 8 MB stack).
So nothing reaches the parser before this scan has bounded it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
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
  | (?P<end> ; )
  | (?P<comma> , )
  | (?P<operator> \|\| | && | [-+*.!<>=]+ | \b(?:if|in|has|like|is)\b )
  | (?P<id> @id\s*\(\s*"(?P<name>(?:[^"\\]|\\.)*)"\s*\) )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One policy of a text.

    Args:
        id: the content of its `@id` annotation as written; empty where it has none.
        nesting: upper bound of how deeply a parser recurses on it.
        start: where it begins in the text, in characters; the comments before it are part of it.
        end: where it ends, behind its semicolon.
    """

    id: str
    nesting: int
    start: int
    end: int


def scan_statements(text: str) -> tuple[Statement, ...]:
    """Return the policies of a Cedar text in the order of Cedar's own `policy0`, `policy1`, …."""
    found: list[Statement] = []
    chains = [0]
    nesting, name, start = 0, "", 0
    for token in _TOKEN.finditer(text):
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
        elif kind == "end":
            found.append(Statement(id=name, nesting=nesting, start=start, end=token.end()))
            chains, nesting, name, start = [0], 0, "", token.end()
            continue
        nesting = max(nesting, sum(chains) + _BRACKET_WEIGHT * len(chains)) if kind in _DEEPENING else nesting
    if nesting:
        found.append(Statement(id=name, nesting=nesting, start=start, end=len(text)))
    return tuple(found)


_DEEPENING = frozenset({"open", "close", "operator"})


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
        if statement.nesting > MAX_NESTING
    ]
    if faults:
        raise PolicyError(*faults)
