"""What recorded decisions reach of a candidate's rules: which decide on real traffic, and which never do.

Counted are the rules of the document that are enforced; base rules are Remit's own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remit.document.values import JsonObject
    from remit.engine.image import PolicyImage
    from remit.workbench.replay.changes import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleReach:
    """How often a rule of the candidate could have decided, and did.

    Args:
        rule: its id.
        effect: permit or forbid.
        origin: where it was written; empty where that is not known.
        asked: replayed decisions about an action that the rule applies to.
        decided: those that it determined under the candidate.
    """

    rule: str
    effect: str
    origin: str
    asked: int
    decided: int

    def to_json(self) -> JsonObject:
        """Return the counts as a JSON object with stable keys."""
        return {
            "rule": self.rule,
            "effect": self.effect,
            "origin": self.origin,
            "asked": self.asked,
            "decided": self.decided,
        }


def reach_of(image: PolicyImage, tally: Tally) -> tuple[RuleReach, ...]:
    """Return what a replay reached of each rule, in image order.

    Args:
        image: the candidate's.
        tally: counts of the replay.
    """
    actions: Counter[str] = Counter()
    decided: Counter[str] = Counter()
    for (action, _, _, _, _, _, after), count in tally.cells.items():
        actions[action] += count
        for rule in after:
            decided[rule] += count
    return tuple(
        RuleReach(
            rule=info.id,
            effect=info.effect,
            origin=info.origin or info.pointer,
            asked=sum(actions[action] for action in info.actions) if info.actions else actions.total(),
            decided=decided[info.id],
        )
        for info in image.rules.values()
        if info.pointer
    )
