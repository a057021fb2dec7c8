"""Lint: rules that compile and yet cannot work as their authors mean them.

A `problem` makes the agent useless or unexplainable; `advice` is worth a look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.document.model import Document
    from remit.document.values import JsonObject
    from remit.engine.image import PolicyImage, RuleInfo

_ALWAYS_NEEDED = {
    "activate": "no rule permits `activate`, so nobody can start this agent",
    "dispatch": "no rule permits `dispatch`, so no back-end may be used",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding.

    Args:
        level: problem or advice.
        check: name of the check, stable.
        message: lower case, no full stop.
        origin: the rule's origin as `file:line:column`, or its JSON pointer; empty where there is none.
    """

    level: Literal["problem", "advice"]
    check: str
    message: str
    origin: str = ""

    def to_json(self) -> JsonObject:
        """Return the finding as a JSON object with stable keys."""
        return {"level": self.level, "check": self.check, "message": self.message, "origin": self.origin}


def lint(
    document: Document, image: PolicyImage, *, cases: int = 0, project: bool = True
) -> tuple[Finding, ...]:
    """Look over an agent that compiles.

    Args:
        document: the agent.
        image: its compiled governance.
        cases: how many cases the project has.
        project: whether cases could exist at all.
    """
    found: list[Finding] = []
    own = [info for info in image.rules.values() if info.pointer]
    for action, message in _ALWAYS_NEEDED.items():
        if not _permitted(own, action):
            found.append(Finding(level="problem", check=f"no-{action}", message=message))
    for tool in document.capabilities.tools:
        if not _permitted(own, tool.name):
            message = f"no rule permits the tool `{tool.name}`, so it is always denied"
            found.append(Finding(level="advice", check="unreachable-tool", message=message))
    for block in document.memory.blocks:
        if not block.rules and not any(_permitted(own, action) for action in ("remember", "recall")):
            message = f"no rule permits the use of memory block `{block.name}`"
            found.append(Finding(level="advice", check="unreachable-block", message=message))
    for info in own:
        if not info.because:
            message = f"rule `{info.id}` has no `because`, so nobody will be told why"
            origin = info.origin or info.pointer
            found.append(Finding(level="advice", check="no-because", message=message, origin=origin))
    if project and not cases:
        message = "there is no case, so nothing shows that the rules mean what they should"
        found.append(Finding(level="advice", check="no-case", message=message))
    return tuple(found)


def _permitted(rules: Sequence[RuleInfo], action: str) -> bool:
    return any(info.effect == "permit" and (not info.actions or action in info.actions) for info in rules)
