"""Counters that rules read, kept as the candidate would have left them.

A recorded request holds the counters as they were under the rules of that time. Where the candidate decides
otherwise, later counters of the same run would have been others: a call that is denied now was not made.

Rules
1. Per run, in log order: an allow that is lost takes back what it counted and counts a denial; an allow that
   is won counts, and takes back its denial. Tokens, cost and wall time are measured, not decided: they stay.
2. A call that had waited, and that the candidate allows at once, counts from there on; its recorded
   repetition after the approval does not count again.
3. `continue` counts nothing, as in the run loop.
4. `lifetime` moves with `usage` and, where a rule reads it, over all runs of the agent in log order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import cedarpy

from remit.engine.reads import policy_paths
from remit.gate.usage import COUNTER_LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.values import JsonObject
    from remit.engine.image import PolicyImage
    from remit.engine.request import Request

_MEMORY = frozenset(("remember", "revise", "erase"))
_RECORDS = ("usage", "lifetime")


@dataclass(slots=True)
class Drift:
    """How far the counters of a run are from the recorded ones.

    Attributes:
        turns, tool_calls, denials, mutations: what to add to the recorded counter.
        won: requests that were allowed before a person had approved them.
    """

    turns: int = 0
    tool_calls: int = 0
    denials: int = 0
    mutations: int = 0
    won: set[str] = field(default_factory=set[str])

    @property
    def moved(self) -> bool:
        """Whether any counter differs."""
        return bool(self.turns or self.tool_calls or self.denials or self.mutations)

    def note(self, request: Request, digest: str, before: str, after: str) -> None:
        """Take one decision into account.

        Args:
            request: that was decided.
            digest: of what was asked, without clock and counters.
            before: the recorded verdict.
            after: the candidate's.
        """
        if request.action == "continue":
            return
        self.denials += (after == "deny") - (before == "deny")
        allowed = (after == "allow") - (before == "allow")
        if before == "awaiting_approval" and after == "allow":
            self.won.add(digest)
        elif before == "allow" and digest in self.won:
            # Rule 2: it was counted when it was first asked.
            self.won.discard(digest)
            allowed -= 1
        if not allowed:
            return
        if request.resource.ref.type == "Tool":
            self.tool_calls += allowed
        elif request.action == "dispatch":
            self.turns += allowed
        elif request.action in _MEMORY:
            self.mutations += allowed

    def add(self, other: Drift) -> None:
        """Add what another run left, for the counters of all runs."""
        self.turns += other.turns
        self.tool_calls += other.tool_calls
        self.denials += other.denials
        self.mutations += other.mutations

    def applied(self, counters: JsonObject) -> JsonObject:
        """Return recorded counters as they would have been."""
        moved: JsonObject = dict(counters)
        for name in ("turns", "tool_calls", "denials", "mutations"):
            value, by = counters.get(name), cast("int", getattr(self, name))
            if by and isinstance(value, int) and not isinstance(value, bool):
                moved[name] = min(max(value + by, 0), COUNTER_LIMIT)
        return moved


def counter_rules(image: PolicyImage) -> Mapping[str, frozenset[str]]:
    """Return the rules that can read counters, with which of `usage` and `lifetime` each reads.

    A rule whose syntax tree leaves a doubt counts as reading both.
    """
    found: dict[str, frozenset[str]] = {}
    for rule in image.rules.values():
        try:
            policies = cedarpy.PolicySet.from_str(rule.text).to_pst().static_policies.values()
            paths = [path for policy in policies for path in policy_paths(policy)]
        except (ValueError, RecursionError):
            paths = [("context",)]
        read = {
            name
            for name in _RECORDS
            for path in paths
            if path == ("context",) or path[:2] == ("context", name)
        }
        if read:
            found[rule.id] = frozenset(read)
    return found
