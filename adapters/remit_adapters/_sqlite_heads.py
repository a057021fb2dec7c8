"""Agents beside the log: are the heads where the records say, and do their rows give the head revision?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.errors import LedgerError
from remit.ledger.report import Finding, LogReport, RecordedHead
from remit_adapters._sqlite_agents import read_agent

if TYPE_CHECKING:
    import sqlite3


def head_findings(connection: sqlite3.Connection, report: LogReport) -> list[Finding]:
    """Hold the agents' heads against the records, and their rows against their heads.

    Args:
        connection: in a transaction.
        report: of the log in the same state; heads are held against it where it is intact.
    """
    rows = connection.execute("SELECT agent, revision FROM agents ORDER BY number").fetchall()
    heads = {str(agent): str(revision) for agent, revision in rows}
    recorded = {head.agent: head for head in report.heads} if report.intact else {}
    found: list[Finding] = []
    for agent, head in recorded.items():
        problem = _misplaced(head, heads.get(agent))
        if problem is not None:
            found.append(problem)
    for agent in heads:
        try:
            read_agent(connection, agent)
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
