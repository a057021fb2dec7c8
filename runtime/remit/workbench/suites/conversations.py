"""Reading whole-run cases: a written conversation, and the decision trace and end that are expected of it.

- name: a small refund
  run:
    caller: ana
    input: Please refund 40 euros for order A-1001.
    says:
      - call: {name: refund, arguments: {order_id: A-1001, amount: 40, reason: broken}}
      - say: Done.
    tools: {refund: {returns: {refund_id: R-1}}}
  expect:
    status: completed
    trace:
      - {action: activate, decision: allow}
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from remit.engine.scalars import datetime_text
from remit.errors import DocumentError
from remit.gate.usage import COUNTERS
from remit.project.questions import DEFAULT_NOW, MEMORY_ACTIONS
from remit.project.scenes import Settlement
from remit.project.source import kind_of, listing, nearest
from remit.workbench.suites.members import Members, node_at, place_of, shown
from remit.workbench.suites.model import (
    DECISIONS,
    STATUSES,
    Conversation,
    ExpectedStep,
    RunExpectation,
    ToolAnswer,
)
from remit.workbench.transcript import read_transcript, turns_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.document.values import JsonObject, JsonValue
    from remit.project.source import FaultList, Node
    from remit.workbench.transcript import Said

RUN_KEYS = ("caller", "input", "says", "tools", "environment", "now", "approvals")
_LIFECYCLES = ("ready", "active", "suspended", "awaiting_approval", "terminated")
_STEP_KEYS = ("action", "decision", "resource", "rules", "kind")
_EXPECT_KEYS = ("status", "lifecycle", "text", "reason", "trace", "usage", "memory")


def read_conversation(node: Node, value: JsonObject, *, now: str, faults: FaultList) -> Conversation | None:
    """Read one conversation.

    Args:
        node: where it was written.
        value: what it says, with fixtures and the matrix's values filled in.
        now: the suite's time.
        faults: where faults go.
    """
    before = len(faults.faults)
    said = _said(node, value, faults)
    conversation = Conversation(
        input=_text(node, value, "input", faults),
        caller=_mapping(node, value, "caller", faults),
        said=said,
        tools=_answers(node, _mapping(node, value, "tools", faults), faults),
        environment=_mapping(node, value, "environment", faults),
        now=_text(node, value, "now", faults) or now or DEFAULT_NOW,
        settlings=_settlings(node, faults),
    )
    try:
        datetime_text(conversation.now)
    except ValueError as error:
        faults.add(
            node_at(node, "now").fault(
                f"`now` is `{conversation.now}`: {error}", "write `YYYY-MM-DDThh:mm:ssZ`"
            )
        )
    if not conversation.input and len(faults.faults) == before:
        faults.add(node.fault("the caller of the run says nothing", "write `input: …`"))
    return conversation if len(faults.faults) == before else None


def _text(node: Node, value: JsonObject, key: str, faults: FaultList) -> str:
    found = value.get(key, "")
    if isinstance(found, str):
        return found
    faults.add(node_at(node, key).fault(f"`{key}` is {kind_of(found)}, not a text", "put it in quotes"))
    return ""


def _mapping(node: Node, value: JsonObject, key: str, faults: FaultList) -> JsonObject:
    found = value.get(key, {})
    if isinstance(found, dict):
        return found
    faults.add(
        node_at(node, key).fault(
            f"`{key}` is {kind_of(found)}, not a mapping", "write such as `{name: value}`"
        )
    )
    return {}


def _said(node: Node, value: JsonObject, faults: FaultList) -> tuple[Said, ...]:
    """Read `says`: the steps themselves, or the path of a transcript beside the case file."""
    says = value.get("says")
    place = node_at(node, "says")
    parsed = node.source.parsed
    assert parsed is not None  # a case file was read with its places
    try:
        if isinstance(says, str):
            return read_transcript(Path(node.source.file).parent / says)
        return turns_of(parsed, place.pointer, says)
    except DocumentError as error:
        # A file that cannot be read has no place of its own: the one that names it has.
        for fault in error.faults:
            faults.add(
                fault if fault.file else place.fault(fault.message, fault.hint or "name a transcript file")
            )
        return ()


def _answers(node: Node, tools: JsonObject, faults: FaultList) -> dict[str, tuple[ToolAnswer, ...]]:
    found: dict[str, tuple[ToolAnswer, ...]] = {}
    for tool, value in tools.items():
        items = value if isinstance(value, list) else [value]
        answers = [_answer(item) for item in items]
        if not answers or None in answers:
            hint = "write such as `{returns: {…}}` or `{fails: text}`, or a list of those"
            faults.add(
                node_at(node, "tools").fault(f"the recorded answers of `{tool}` are not readable", hint)
            )
            continue
        found[tool] = tuple(answer for answer in answers if answer is not None)
    return found


def _answer(item: JsonValue) -> ToolAnswer | None:
    if isinstance(item, dict) and set(item) == {"returns"}:
        return ToolAnswer(value=item["returns"])
    if isinstance(item, dict) and set(item) == {"fails"} and isinstance(item["fails"], str):
        return ToolAnswer(value={"error": item["fails"]}, ok=False)
    return None


def _settlings(node: Node, faults: FaultList) -> tuple[Settlement, ...]:
    found: list[Settlement] = []
    if "approvals" not in (node.object() or {}):
        return ()
    listed = node.member("approvals")
    if not isinstance(listed.value, list):
        faults.add(
            listed.fault(
                f"`approvals` is {kind_of(listed.value)}, not a list", "begin each with `- approve:`"
            )
        )
        return ()
    for item in listed.items():
        outer = Members(item, faults, what="an entry of `approvals`", known=("approve", "refuse"))
        if not outer.readable or len(set(outer.value) & {"approve", "refuse"}) != 1:
            if outer.readable:
                outer.wrong_all("an entry of `approvals` either approves or refuses", "write one of the two")
            continue
        verb = "approve" if outer.has("approve") else "refuse"
        keys = ("as", "roles", "reason")
        inner = Members(outer.at(verb), faults, what=f"`{verb}`", known=keys, required=keys)
        found.append(
            Settlement(
                person=inner.text("as"),
                roles=inner.texts("roles"),
                reason=inner.text("reason"),
                approved=verb == "approve",
            )
        )
    return tuple(found)


def read_run_expectation(node: Node, *, faults: FaultList, more: Sequence[str] = ()) -> RunExpectation | None:
    """Read what a whole run must come to.

    Args:
        node: the mapping.
        faults: where faults go.
        more: keys that stand here for others to read.
    """
    what = "the expectation of a run"
    members = Members(node, faults, what=what, known=(*_EXPECT_KEYS, *more), required=("status",))
    if not members.readable or not members.has("status"):
        return None
    before = len(faults.faults)
    trace, exact = _trace(members, faults)
    expectation = RunExpectation(
        status=members.text("status", choices=STATUSES),
        lifecycle=members.text("lifecycle", choices=_LIFECYCLES),
        text=members.text("text"),
        reason=members.text("reason"),
        trace=trace,
        exact=exact,
        usage=_usage(members),
        memory=_memory(members),
    )
    if expectation.reason and expectation.status == "completed":
        members.wrong("reason", "a completed run has no reason for not completing", "leave `reason` out")
    waits = "awaiting_approval"
    if expectation.status == waits and expectation.lifecycle not in ("", waits):
        members.wrong(
            "lifecycle",
            f"`lifecycle: {expectation.lifecycle}` contradicts `status: {waits}`",
            f"write `{waits}`",
        )
    return expectation if len(faults.faults) == before else None


def _trace(members: Members, faults: FaultList) -> tuple[tuple[ExpectedStep, ...] | None, bool]:
    if not members.has("trace"):
        return None, True
    node, exact = members.at("trace"), True
    if node.object() is not None:
        inner = Members(node, faults, what="`trace`", known=("includes",), required=("includes",))
        if not inner.has("includes"):
            return (), False
        node, exact = inner.at("includes"), False
    if not isinstance(node.value, list) or not node.value:
        what = (
            "is an empty list, so it can never fail"
            if node.value == []
            else f"is {kind_of(node.value)}, not a list"
        )
        faults.add(node.fault(f"the trace {what}", "begin each decision with `- {action: …, decision: …}`"))
        return (), exact
    steps = [_step(item, faults) for item in node.items()]
    return tuple(step for step in steps if step is not None), exact


def _step(node: Node, faults: FaultList) -> ExpectedStep | None:
    required = ("action", "decision")
    members = Members(node, faults, what="a line of the trace", known=_STEP_KEYS, required=required)
    if not members.readable:
        return None
    return ExpectedStep(
        action=members.text("action"),
        decision=members.text("decision", choices=DECISIONS),
        resource=members.text("resource"),
        rules=members.texts("rules") if members.has("rules") else None,
        kind=members.text("kind"),
        place=place_of(node),
    )


def _usage(members: Members) -> dict[str, int]:
    counters = members.mapping("usage")
    for name, count in counters.items():
        if name not in COUNTERS:
            hint = nearest(name, COUNTERS) or f"counters are {listing(COUNTERS)}"
            members.wrong("usage", f"`{name}` is not a usage counter", hint)
        elif not isinstance(count, int) or isinstance(count, bool) or count < 0:
            members.wrong(
                "usage", f"`{name}` is {shown(count)}, not a whole number from 0", "write such as `1`"
            )
    return cast("dict[str, int]", counters)


def _memory(members: Members) -> tuple[str, ...] | None:
    if not members.has("memory"):
        return None
    operations = members.texts("memory")
    for text in operations:
        verb, _, block = text.partition(" ")
        if verb not in MEMORY_ACTIONS or not block:
            members.wrong(
                "memory", f"`{text}` is no operation on memory", "write such as `remember desk_notes`"
            )
    return operations
