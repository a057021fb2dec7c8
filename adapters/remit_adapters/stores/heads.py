"""Agents beside the log: are the heads where the records say, and do their rows give the head revision?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.errors import LedgerError
from remit.ledger.report import Finding, LogReport, RecordedHead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


def head_findings(
    heads: Mapping[str, str], read: Callable[[str], object], report: LogReport
) -> list[Finding]:
    """Hold the agents' heads against the records, and their rows against their heads.

    Args:
        heads: agent id and head revision of every agent, as stored.
        read: reads an agent back, and raises `LedgerError` where its rows do not give its head.
        report: of the log in the same state; heads are held against it where it is intact.
    """
    recorded = {head.agent: head for head in report.heads} if report.intact else {}
    found: list[Finding] = []
    for agent, head in recorded.items():
        problem = _misplaced(head, heads.get(agent))
        if problem is not None:
            found.append(problem)
    for agent in heads:
        try:
            read(agent)
        except LedgerError as error:
            index = recorded[agent].index if agent in recorded else None
            found.append(
                Finding(index=index, problem=str(error), hint="restore the store from a copy and compare")
            )
    return found


def _misplaced(said: RecordedHead, head: str | None) -> Finding | None:
    if head == said.revision:
        return None
    verb = "moved the head to" if said.moved else "was decided upon the head"
    expected = f"record {said.index} {verb} `{said.revision}`"
    if head is None:
        return Finding(
            index=said.index,
            problem=f"the agent `{said.agent}` is gone from the store",
            hint=f"{expected}; its row was deleted or its id edited",
        )
    if head in said.earlier:
        return Finding(
            index=said.index,
            problem=f"the head of `{said.agent}` was rolled back to `{head}`",
            hint=f"{expected}, and that left `{head}` behind (record {said.earlier[head]})",
        )
    return Finding(
        index=said.index,
        problem=f"the head of `{said.agent}` is `{head}`, which no record names as its head",
        hint=f"{expected}; it was moved behind the store",
    )


def derived_findings(strays: Iterable[int], listed: Sequence[int], report: LogReport) -> list[Finding]:
    """Check what a store derives from the log.

    Args:
        strays: indices of contents without a record.
        listed: indices of intents that the store lists as open, in order.
        report: of the log in the same state.
    """
    found = [Finding(index=index, problem="content lies here without a record") for index in strays]
    if tuple(listed) != report.unfinished and report.intact:
        found.append(
            Finding(
                index=None,
                problem="the list of intents without an outcome was changed",
                hint=f"the records say {list(report.unfinished)}, the list says {list(listed)}",
            )
        )
    return found
