"""Coverage for people: what was never reached, and the plots and tables of a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.workbench.coverage import Share
from remit.workbench.report.model import Bars, Table, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.workbench.coverage import Coverage, RuleCoverage
    from remit.workbench.report.model import Part

MAX_BARS = 40
"""Rules in one plot; those that are covered least come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Something that no request reaches.

    Args:
        name: of the rule or action.
        what: was never so.
        origin: where it was written; empty where that is not known.
    """

    name: str
    what: str
    origin: str


def missing(found: Coverage) -> Iterator[Missing]:
    """Yield what no request reaches: rules and their conditions in image order, then actions."""
    for rule in found.rules:
        for what in _missing_of(rule):
            yield Missing(name=rule.rule, what=what, origin=rule.origin)
    for action in found.actions:
        if action.allowable and not action.allowed:
            yield Missing(name=action.action, what="never allowed", origin="")
        if not action.denied:
            yield Missing(name=action.action, what="never denied", origin="")


def _missing_of(rule: RuleCoverage) -> Iterator[str]:
    if not rule.evaluated:
        yield "never evaluated"
        return
    if not rule.decisive:
        yield "never decisive"
    for branch in rule.branches:
        lead = f"{branch.kind} " if branch.kind in {"when", "unless"} else ""
        if not branch.true:
            yield f"never true: {lead}{branch.text}"
        if not branch.false:
            yield f"never false: {lead}{branch.text}"


def shares(found: Coverage) -> tuple[tuple[str, Share], ...]:
    """Return the counts with their names for people, the total apart."""
    return (
        ("rules evaluated", found.evaluated),
        ("rules decisive", found.decisive),
        ("conditions both ways", found.branches),
        ("actions both ways", found.outcomes),
    )


def share_of(rule: RuleCoverage) -> Share:
    """Return how many of a rule's own ways were gone: evaluated, decisive, and each branch both ways."""
    ways = (rule.evaluated, rule.decisive, *(way for one in rule.branches for way in (one.true, one.false)))
    return Share(covered=sum(way > 0 for way in ways), total=len(ways))


def coverage_parts(found: Coverage) -> tuple[Part, ...]:
    """Return the parts of a report: totals, a plot by rule, what became of each action, what is missing."""
    # Equals stay in image order, so that a rule stands where its author looks for it.
    rules = sorted(((rule, share_of(rule)) for rule in found.rules), key=lambda item: item[1].percent)
    more = f"; the {MAX_BARS} least covered of {len(rules)}" if len(rules) > MAX_BARS else ""
    outcomes = tuple((one.action, (float(one.allowed), float(one.denied))) for one in found.actions)
    return (
        Table(
            head=("", "covered", "of", "per cent"),
            rows=tuple(
                (name, number(share.covered), number(share.total), f"{share.percent:.1f}")
                for name, share in (*shares(found), ("total", found.total))
            ),
            numbers=frozenset({1, 2, 3}),
            caption=f"By {number(found.requests)} single requests; whole runs are not counted",
        ),
        Bars(
            caption=f"Coverage by rule: evaluated, decisive, each condition both ways{more}",
            series=("covered",),
            rows=tuple(
                (f"{rule.rule} ({share.covered} of {share.total})", (share.percent,))
                for rule, share in rules[:MAX_BARS]
            ),
            whole=100,
            unit=" %",
            empty="the agent has no rule of its own",
        ),
        Bars(
            caption="Requests by tool and action, as the engine answered them"
            + (" (what waits for a person is a deny)" if outcomes else ""),
            series=("allowed", "denied"),
            rows=outcomes,
            empty="no tool, and no action that a rule names",
        ),
        Table(
            head=("rule or action", "what", "where"),
            rows=tuple((one.name, one.what, one.origin) for one in missing(found)),
            caption="Never reached",
            empty="nothing: every rule, condition and action was reached both ways",
        ),
    )


def coverage_sentence(found: Coverage) -> str:
    """Return what the coverage comes to in a few words."""
    return f"coverage {found.total.percent:.1f} %"
