"""Ledger records: what is written down before and after every effect.

A record is one canonical JSON object (RFC 8785, no floats), the leaf of the ledger's Merkle tree.
Content that may have to be erased (request context, arguments, results) is not inside the leaf.
The leaf holds `content` = `sha256:<hex>` of salt ‖ JCS(content); the salt and the content lie beside it.

Kinds
    decision   a request and the engine's and gate's answer (allow, deny, awaiting_approval)
    intent     an effect is about to happen, under the permit of a decision
    outcome    what became of an intent: ok, failed, abandoned, unknown
    revision   the agent's head moved: parent, child, operation
    approval   a person approved or refused
    control    kill, suspend, resume, re-arm
    run        a run began, stopped, went on, ended
    object     something on a vendor's side was planned, made or is gone
    shadow     what a candidate, or a rule of `mode: shadow`, would have answered to a decision
"""

from __future__ import annotations

from typing import Literal

from msgspec import field

from remit.document.values import Canonical, JsonObject, JsonValue
from remit.value import Value

RecordKind = Literal[
    "decision", "intent", "outcome", "revision", "approval", "control", "run", "object", "shadow"
]
LEDGER_SPEC = "remit/ledger/1"


class Draft(Value, frozen=True, kw_only=True):
    """A record before it has an index.

    Args:
        kind: what it records.
        agent: agent id, or empty for records about no agent.
        run: run id, or empty.
        at: RFC 3339 UTC time with milliseconds.
        body: canonical part; strings, integers, booleans, arrays and objects only.
        content: erasable part, committed to by the leaf; None where there is none. A `Canonical` is taken
            as it is, so that what was encoded for a digest is not encoded again.
        subject: the one data subject whom the content is about, where that is known; a store that seals
            keeps it under this subject's key. No part of the leaf.
    """

    kind: RecordKind
    agent: str
    run: str
    at: str
    body: JsonObject
    content: JsonValue | Canonical = None
    subject: str = ""


class Receipt(Value, frozen=True, kw_only=True):
    """A durable record: its index in the log and the digest of its bytes (`sha256:<hex>`)."""

    index: int
    digest: str


class Record(Value, frozen=True, kw_only=True):
    """A record as read back.

    Args:
        index: position in the log, from 0.
        value: the leaf's JSON object: `{spec, index, kind, agent, run, at, body, content?}`.
        digest: SHA-256 of the leaf bytes, `sha256:<hex>`.
        content: the erasable part, None once erased or where there is none.
    """

    index: int
    value: JsonObject
    digest: str
    content: JsonValue = None
    extra: JsonObject = field(default_factory=dict[str, JsonValue])
