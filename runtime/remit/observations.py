"""Observations: what telemetry is told, one flat value each, under names that stay.

Rules
1. `NAMES` lists every name with its level and its members; `docs/telemetry.md` prints the same table.
2. `values` holds what may leave the organisation's hands: ids, digests, declared names, counts, verdicts.
   It never holds arguments, results, texts, reasons in prose, or who the caller is.
3. `private` holds those, and is empty unless the embedder asked for them.
4. A name that a model or a caller made up (an unknown tool or block) is not among `values`.
5. An observation is no evidence: the ledger is. What it says of a decision is found there by `decision`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Level = Literal["debug", "info", "warning", "error"]
Scalar = str | int | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Something that happened.

    Args:
        name: one of `NAMES`.
        agent: agent id; empty where it is about no agent.
        run: run id; of an operation of a person, `operation-…`.
        at_ns: when it happened or ended, nanoseconds since 1970-01-01T00:00:00Z.
        began_ns: when it began, on the same clock; equal to `at_ns` for what has no extent.
        values: members of the name, see `NAMES`.
        private: further members that only an embedder who asked for them is told.
    """

    name: str
    agent: str
    run: str
    at_ns: int
    began_ns: int
    values: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    private: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def duration_s(self) -> float:
        """Seconds from beginning to end; 0 for what has no extent."""
        return (self.at_ns - self.began_ns) / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a name stands for.

    Args:
        level: how much it matters to whoever reads logs.
        members: of `values`; some may be left out where they are not known.
        private: members of `private`.
        meaning: for people, one clause.
    """

    level: Level
    members: tuple[str, ...]
    meaning: str
    private: tuple[str, ...] = ()


_DECISION = (
    "decision",
    "index",
    "action",
    "verdict",
    "kind",
    "policies",
    "resource",
    "image",
    "turn",
    "step",
    "dry_run",
)
_WHOM = ("principal", "resource_id", "because")

NAMES: Mapping[str, Named] = {
    "run_started": Named(
        level="info",
        members=("revision", "image", "dry_run", "resumed"),
        private=("caller",),
        meaning="a run began, or went on",
    ),
    "run_ended": Named(
        level="info",
        members=("status", "revision", "image", "dry_run"),
        private=("reason",),
        meaning="a run stopped; its status says how",
    ),
    "decision_allowed": Named(
        level="info", members=_DECISION, private=_WHOM, meaning="the gate allowed a request"
    ),
    "decision_denied": Named(
        level="info", members=_DECISION, private=_WHOM, meaning="the gate denied a request"
    ),
    "decision_awaiting_approval": Named(
        level="info", members=_DECISION, private=_WHOM, meaning="the gate asks a person"
    ),
    "approval_requested": Named(
        level="info",
        members=("approval", "action", "role", "policies"),
        meaning="a run waits for the named role",
    ),
    "approval_settled": Named(
        level="info",
        members=("record", "approval", "for_run", "role", "approved", "policies"),
        private=("by", "reason"),
        meaning="a person approved or refused, or nobody did in time",
    ),
    "backend_opened": Named(
        level="info",
        members=("backend", "adapter", "provider", "region", "model"),
        meaning="a back-end is ready for the run",
    ),
    "backend_skipped": Named(
        level="warning",
        members=("backend", "adapter"),
        private=("reason",),
        meaning="a back-end was denied, could not start or failed",
    ),
    "inference_started": Named(
        level="info",
        members=("decision", "turn", "backend", "provider", "model"),
        meaning="a turn was sent to a back-end",
    ),
    "inference_finished": Named(
        level="info",
        members=(
            "decision",
            "turn",
            "backend",
            "provider",
            "model",
            "response_model",
            "stop",
            "input_tokens",
            "output_tokens",
            "cost_microusd",
        ),
        meaning="a back-end answered a turn",
    ),
    "inference_failed": Named(
        level="warning",
        members=("decision", "turn", "backend", "provider", "model"),
        meaning="a turn got no complete answer",
    ),
    "tool_started": Named(
        level="info",
        members=("decision", "turn", "tool"),
        private=("arguments",),
        meaning="the intent to call a tool is durable",
    ),
    "tool_finished": Named(
        level="info",
        members=("decision", "turn", "tool", "outcome"),
        private=("result",),
        meaning="the outcome of a tool call is durable: ok, failed, unknown, dry_run",
    ),
    "memory_changed": Named(
        level="info",
        members=("decision", "operation", "block", "revision"),
        meaning="a memory entry was written or erased",
    ),
    "agent_revised": Named(
        level="debug",
        members=("operation", "parent", "revision", "lifecycle"),
        meaning="the agent's head moved",
    ),
    "outcome_unknown": Named(
        level="warning",
        members=("earlier_run", "action", "target", "intent"),
        meaning="an earlier run left an effect without an outcome; it is not repeated",
    ),
    "stop_noticed": Named(
        level="warning",
        members=("order", "scope", "in_flight"),
        meaning="a kill or suspend order reached the run",
    ),
    "engine_diverged": Named(
        level="error",
        members=("when", "image", "action"),
        meaning="compiled policies differed from the reference engine, which decides alone from now on",
    ),
    "ledger_appended": Named(
        level="debug", members=("records",), meaning="records became durable; the duration is the wait"
    ),
    "ledger_failed": Named(
        level="error",
        members=("records", "error"),
        meaning="records could not be made durable; nothing that needed them happened",
    ),
}
"""Every name, in the order in which a run meets them."""
