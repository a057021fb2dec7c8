"""Rules as their authors wrote them, and the obligations that they can carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RuleEffect = Literal["permit", "forbid"]
RuleMode = Literal["enforce", "shadow"]
"""Whether a rule decides, or is only watched: what it would have changed is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """Obligation: a person with role `by` must approve exactly this request.

    Args:
        by: the role.
        within_ms: how long the approval may wait, in milliseconds; 0 where it waits for ever.
    """

    by: str
    within_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Redact:
    """Obligation: the named top-level arguments and result members are masked.

    Args:
        arguments: argument names replaced by `"[redacted]"` before the tool sees them.
        result: result members replaced before the model sees them.
    """

    arguments: tuple[str, ...] = ()
    result: tuple[str, ...] = ()


Obligation = Approve | Redact


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A governance rule as its author wrote it.

    Either `cedar` holds one or more plain Cedar policies, or the other members describe one rule.

    Args:
        id: unique within the document; for plain Cedar without ids it is derived by the compiler.
        effect: permit or forbid; None for plain Cedar.
        on: action names it applies to; empty means those of the place where the rule stands.
        when: a Cedar expression that must hold.
        unless: a Cedar expression that must not hold.
        because: the reason that people and the model are given.
        controls: clauses of outside frameworks, such as `SOX-404`.
        obligations: what must be fulfilled where the rule applies.
        mode: enforce, or shadow for a rule that is watched and decides nothing; in plain Cedar `@mode`.
        cedar: plain Cedar text, annotations and all.
        pointer: JSON pointer of the rule in the document.
    """

    id: str
    effect: RuleEffect | None
    on: tuple[str, ...] = ()
    when: str | None = None
    unless: str | None = None
    because: str = ""
    controls: tuple[str, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    mode: RuleMode = "enforce"
    cedar: str | None = None
    pointer: str = ""
