"""One agent with one tool, a ledger in memory, and rules of every kind."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from remit.document.rules import Approve, Obligation, Redact
from remit.engine.cedar import CedarEngine
from remit.engine.image import PolicyImage, RuleInfo, image_digest
from remit.engine.request import Entity, EntityRef, Request
from remit.gate.answers import Ask
from remit.gate.approvals import ApprovalGrant
from remit.gate.gate import Gate
from remit.messages import Message, Turn
from remit.ports import Invocation
from remit.testing.clock import FixedClock
from remit.testing.memory_ledger import MemoryLedger

_LONG = {"type": "Long"}
_TEXT = {"type": "String"}
_COMMON: dict[str, Any] = {
    "caller": {"type": "Entity", "name": "Caller"},
    "fulfilled": {"type": "Set", "element": _TEXT},
}
SCHEMA: dict[str, Any] = {
    "Remit": {
        "entityTypes": {
            "Caller": {"shape": {"type": "Record", "attributes": {"kind": _TEXT}}},
            "Agent": {"shape": {"type": "Record", "attributes": {"region": _TEXT}}},
            "Tool": {},
            "Backend": {"shape": {"type": "Record", "attributes": {"region": _TEXT}}},
        },
        "actions": {
            "pay": {
                "appliesTo": {
                    "principalTypes": ["Agent"],
                    "resourceTypes": ["Tool"],
                    "context": {
                        "type": "Record",
                        "attributes": {
                            **_COMMON,
                            "input": {
                                "type": "Record",
                                "attributes": {
                                    "amount": _LONG,
                                    "iban": {**_TEXT, "required": False},
                                    "memo": {**_TEXT, "required": False},
                                },
                            },
                        },
                    },
                },
            },
            "dispatch": {
                "appliesTo": {
                    "principalTypes": ["Agent"],
                    "resourceTypes": ["Backend"],
                    "context": {"type": "Record", "attributes": _COMMON},
                },
            },
            "continue": {
                "appliesTo": {
                    "principalTypes": ["Agent"],
                    "resourceTypes": ["Agent"],
                    "context": {"type": "Record", "attributes": _COMMON},
                },
            },
        },
    }
}

_PAY = 'principal, action == Remit::Action::"pay", resource'
PERMIT = ("pays", "permit", f"permit({_PAY});", "", ())


def rule(
    name: str, effect: str, text: str, because: str, obligations: tuple[Obligation, ...]
) -> tuple[str, RuleInfo]:
    return name, RuleInfo(
        id=name,
        effect="permit" if effect == "permit" else "forbid",
        because=because,
        controls=(),
        obligations=obligations,
        actions=("pay",),
        pointer="",
        origin="",
        text=f'@id("{name}") {text}',
    )


def forbid(
    name: str, when: str, *obligations: Obligation, because: str = ""
) -> tuple[str, str, str, str, tuple[Obligation, ...]]:
    unless = f' unless {{ context.fulfilled.contains("{name}") }}' if obligations else ""
    return name, "forbid", f"forbid({_PAY}) when {{ {when} }}{unless};", because, obligations


CAP = forbid("cap", "context.input.amount > 500", because="payments over 500 are not made")
REVIEW = forbid(
    "review", "context.input.amount > 100", Approve(by="risk"), because="payments over 100 need a person"
)
HIDE = forbid("hide", "context.input has iban", Redact(arguments=("iban",), result=("iban",)))


def image_of(*rules: tuple[str, str, str, str, tuple[Obligation, ...]]) -> PolicyImage:
    others = (
        ("dispatches", "permit", 'permit(principal, action == Remit::Action::"dispatch", resource);', "", ()),
        ("goes-on", "permit", 'permit(principal, action == Remit::Action::"continue", resource);', "", ()),
    )
    infos = dict(rule(*given) for given in (*others, *rules))
    text = "\n".join(info.text for info in infos.values())
    return PolicyImage(
        policies=text, schema=SCHEMA, schema_text="", rules=infos, digest=image_digest(text, SCHEMA)
    )


PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"amount": {"type": "integer"}, "iban": {"type": "string"}, "memo": {"type": "string"}},
    "required": ["amount"],
    "additionalProperties": False,
}


@dataclass
class World:
    """What a gate stands on, and short ways to ask it."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    clock: FixedClock = field(default_factory=FixedClock)

    def gate(self, *rules: Any, run: str = "run-1", **given: Any) -> Gate:
        image = image_of(*(rules or (PERMIT, CAP)))
        return Gate(
            CedarEngine(image),
            image,
            given.pop("ledger", self.ledger),
            given.pop("control", self.ledger.control),
            given.pop("clock", self.clock),
            agent="agent-1",
            run=run,
            **given,
        )

    def pay(self, *, step: int = 1, caller: str = "cora", approvals: Any = (), **arguments: Any) -> Ask:
        return Ask(
            request=Request(
                principal=Entity(ref=EntityRef(type="Agent", id="agent-1"), attributes={"region": "EU"}),
                action="pay",
                resource=Entity(ref=EntityRef(type="Tool", id="pay")),
                context={"caller": {"type": "Caller", "id": caller}, "input": arguments},
                entities=(Entity(ref=EntityRef(type="Caller", id=caller), attributes={"kind": "user"}),),
            ),
            revision="sha256:rev",
            step=step,
            content=Invocation(tool="pay", arguments=arguments, key=f"key-{step}"),
            effect="call_tool",
            target="pay",
            parameters=PARAMETERS,
            approvals=tuple(approvals),
        )

    def turn(self, text: str = "hello") -> Ask:
        pay = self.pay(amount=1)
        return replace(
            pay,
            request=replace(
                pay.request,
                action="dispatch",
                resource=Entity(ref=EntityRef(type="Backend", id="local"), attributes={"region": "EU"}),
                context={"caller": pay.request.context["caller"]},
            ),
            content=Turn(instructions="be brief", messages=(Message(role="user", text=text),)),
            effect="dispatch",
            target="local",
            parameters=None,
        )

    def goes_on(self) -> Ask:
        pay = self.pay(amount=1)
        return replace(
            pay,
            request=replace(
                pay.request,
                action="continue",
                resource=pay.request.principal,
                context={"caller": pay.request.context["caller"]},
            ),
            content="",
            effect=None,
            target="",
            parameters=None,
        )

    def records(self) -> list[tuple[str, Any, Any]]:
        return [(str(r.value["kind"]), r.value["body"], r.content) for r in self.ledger.records()]

    def grant(self, request: str, **changes: Any) -> ApprovalGrant:
        given: dict[str, Any] = {
            "id": "approval-1",
            "run": "run-1",
            "request": request,
            "by": "rita",
            "role": "risk",
            "reason": "seen",
            "approved": True,
            "meaning": "approval",
            "at": "2026-01-01T00:00:00.000Z",
        }
        return ApprovalGrant(**(given | changes))
