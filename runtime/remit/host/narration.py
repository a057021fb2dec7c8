"""From what a session does to what telemetry is told: one narrator a session, in the thread of the run.

Rules
1. A narrator adds what an event does not say: when a thing began, and the record of the decision behind it.
2. Nothing here raises and nothing here waits, whatever an event holds.
3. Whoever watches the run is told after telemetry, so that their failure is told of as well.
4. Whatever began is told to have ended, at the latest when the run stops.
"""

from __future__ import annotations

import json
from contextvars import copy_context
from typing import TYPE_CHECKING

from remit.document.rule_values import BASE_ACTIONS
from remit.gate.answers import Denial, Granted
from remit.host.events import (
    ApprovalRequested,
    BackendOpened,
    BackendSkipped,
    Decided,
    Dispatched,
    MemoryChanged,
    Revised,
    RunEnded,
    RunStarted,
    ToolFinished,
    TurnFinished,
    UnknownReported,
)
from remit.observations import Observation
from remit.ports import Invocation

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.document.values import JsonValue
    from remit.gate.answers import Answer
    from remit.gate.approvals import ApprovalGrant
    from remit.host.agent import Agent
    from remit.host.events import RunEvent
    from remit.host.telemetry import Telemetry
    from remit.observations import Scalar
    from remit.records import Receipt

_ACTIONS = frozenset((*BASE_ACTIONS, "approve", "refuse"))
OTHER = "other"
"""Stands for an action that no rule of the agent can be about: a name that a model made up."""
_VERDICTS = {
    "allow": "decision_allowed",
    "deny": "decision_denied",
    "awaiting_approval": "decision_awaiting_approval",
}


class Narrator:
    """Tells telemetry what one session does, and then whoever watches.

    Args:
        telemetry: who is told.
        emit: who watches the run.
        agent: whose session it is.
        run: run id.
    """

    def __init__(
        self, telemetry: Telemetry, emit: Callable[[RunEvent], None], *, agent: Agent, run: str
    ) -> None:
        self._telemetry = telemetry
        self._emit = emit
        self._agent = agent
        self._run = run
        self._context = copy_context()
        self._run_began_ns = telemetry.now_ns()
        self._began_ns = 0
        self._image = ""
        self._dry_run = False
        self._receipt: Receipt | None = None
        self._arguments = ""
        self._decisions: dict[str, str] = {}
        self._inference: tuple[int, dict[str, Scalar]] | None = None
        self._tool: tuple[int, dict[str, Scalar]] | None = None
        self._backends: dict[str, BackendOpened] = {}

    def __call__(self, event: RunEvent) -> None:
        """Tell telemetry of an event, then pass it on.

        Raises:
            ObserverError: whoever watches raised.
        """
        try:
            self._tell_of(event)
        except Exception:  # noqa: BLE001  # rule 2
            self._telemetry.missed()
        self._emit(event)

    # What a session says beside its events.

    def asked(self, image: str) -> None:
        """A question goes to the gate, to be decided under the image of that digest."""
        self._began_ns = self._telemetry.now_ns()
        self._image = image

    def answered(self, answer: Answer) -> None:
        """The gate answered; the event `Decided` follows."""
        self._receipt = answer.receipt
        if isinstance(answer, Denial) and answer.stop is not None:
            self.stopped(answer.stop.order, scope=answer.stop.scope, in_flight=False)
        if self._telemetry.private and isinstance(answer, Granted) and isinstance(answer.content, Invocation):
            self._arguments = json.dumps(answer.content.arguments, ensure_ascii=False, default=str)

    def recorded(self, receipt: Receipt) -> None:
        """A decision that needed no rule is durable; the event `Decided` follows."""
        self._receipt = receipt

    def settled(self, grant: ApprovalGrant, receipt: Receipt, *, rules: tuple[str, ...]) -> None:
        """A person's answer is durable."""
        values: dict[str, Scalar] = {
            "record": receipt.digest,
            "approval": grant.id,
            "for_run": grant.run,
            "role": grant.role,
            "approved": grant.approved,
            "policies": rules,
        }
        self._tell("approval_settled", values, private={"by": grant.by, "reason": grant.reason})

    def stopped(self, order: str, *, scope: str, in_flight: bool) -> None:
        """A standing order reached the session."""
        # The kind alone: the rest of a scope may be a person's choice of words.
        values: dict[str, Scalar] = {
            "order": order,
            "scope": scope.partition(":")[0],
            "in_flight": in_flight,
        }
        self._tell("stop_noticed", values)

    # Events.

    def _tell_of(self, event: RunEvent) -> None:  # noqa: C901, PLR0912  # one case an event
        match event:
            case Decided():
                self._decided(event)
            case RunStarted():
                self._run_began_ns = self._telemetry.now_ns()
                self._dry_run = event.dry_run
                started: dict[str, Scalar] = {
                    "revision": event.revision,
                    "image": self._agent.compiled.image.digest,
                    "dry_run": event.dry_run,
                    "resumed": event.resumed,
                }
                self._tell("run_started", started, private={"caller": event.caller})
            case RunEnded():
                self._close_tool("unknown")
                self._fail_inference()
                ended: dict[str, Scalar] = {
                    "status": event.status,
                    "revision": event.revision,
                    "image": self._agent.compiled.image.digest,
                    "dry_run": self._dry_run,
                }
                self._tell("run_ended", ended, began_ns=self._run_began_ns, private={"reason": event.reason})
            case BackendOpened():
                self._backends[event.name] = event
                opened: dict[str, Scalar] = {
                    "backend": event.name,
                    "adapter": event.adapter,
                    "provider": event.provider,
                    "region": event.region,
                    "model": event.model,
                }
                self._tell("backend_opened", opened)
            case BackendSkipped():
                self._fail_inference()
                skipped: dict[str, Scalar] = {"backend": event.name, "adapter": event.adapter}
                self._tell("backend_skipped", skipped, private={"reason": event.reason})
            case Dispatched():
                self._dispatched(event)
            case TurnFinished():
                self._turn_finished(event)
            case ToolFinished():
                self._close_tool(event.outcome, result=event)
            case MemoryChanged():
                changed: dict[str, Scalar] = {
                    "decision": self._decisions.get(event.operation, ""),
                    "operation": event.operation,
                    "block": event.block,
                    "revision": event.revision,
                }
                self._tell("memory_changed", changed)
            case Revised():
                revised: dict[str, Scalar] = {
                    "operation": event.operation,
                    "parent": event.parent,
                    "revision": event.revision,
                    "lifecycle": event.lifecycle,
                }
                self._tell("agent_revised", revised)
            case ApprovalRequested():
                wanted: dict[str, Scalar] = {
                    "approval": event.approval,
                    "action": event.action,
                    "role": event.by,
                    "policies": event.rules,
                }
                self._tell("approval_requested", wanted)
            case UnknownReported():
                unknown: dict[str, Scalar] = {
                    "earlier_run": event.run,
                    "action": event.action,
                    "target": event.target,
                    "intent": event.intent,
                }
                self._tell("outcome_unknown", unknown)
            case _:
                return

    def _decided(self, event: Decided) -> None:
        began_ns, self._began_ns = self._began_ns, 0
        receipt, self._receipt = self._receipt, None
        action = event.action if self._declares(event.action) else OTHER
        kind, mark, rest = event.resource.removeprefix("Remit::").partition("::")
        values: dict[str, Scalar] = {
            "decision": event.record,
            "action": action,
            "verdict": event.verdict,
            "kind": event.kind,
            "policies": event.rules,
            "resource": kind if mark else "",
            "image": self._image or self._agent.compiled.image.digest,
            "turn": event.turn,
            "step": event.step,
            "dry_run": self._dry_run,
        }
        if receipt is not None:
            values["index"] = receipt.index
        self._tell(
            _VERDICTS[event.verdict],
            values,
            began_ns=began_ns,
            private={"resource_id": rest.strip('"') if mark else event.resource, "because": event.because},
        )
        self._decisions[action] = event.record
        if event.verdict == "allow" and kind == "Tool":
            begun: dict[str, Scalar] = {"decision": event.record, "turn": event.turn, "tool": action}
            arguments, self._arguments = self._arguments, ""
            self._tool = (self._telemetry.now_ns(), begun)
            self._tell("tool_started", begun, private={"arguments": arguments})

    def _declares(self, action: str) -> bool:
        return action in _ACTIONS or self._agent.document.tool(action) is not None

    def _dispatched(self, event: Dispatched) -> None:
        opened = self._backends.get(event.backend)
        begun: dict[str, Scalar] = {
            "decision": self._decisions.get("dispatch", ""),
            "turn": event.turn,
            "backend": event.backend,
            "provider": "" if opened is None else opened.provider,
            "model": "" if opened is None else opened.model,
        }
        self._inference = (self._telemetry.now_ns(), begun)
        self._tell("inference_started", begun)

    def _turn_finished(self, event: TurnFinished) -> None:
        began_ns, begun = self._inference or (0, {})
        self._inference = None
        values: dict[str, Scalar] = {
            **begun,
            "response_model": event.model,
            "stop": event.stop,
            "input_tokens": event.input_tokens,
            "output_tokens": event.output_tokens,
            "cost_microusd": event.cost_microusd,
        }
        self._tell("inference_finished", values, began_ns=began_ns)

    def _fail_inference(self) -> None:
        if self._inference is not None:
            began_ns, begun = self._inference
            self._inference = None
            self._tell("inference_failed", begun, began_ns=began_ns)

    def _close_tool(self, outcome: str, *, result: ToolFinished | None = None) -> None:
        if self._tool is None:
            return
        began_ns, begun = self._tool
        self._tool = None
        shown = "" if result is None else self._shown(result.value)
        self._tell(
            "tool_finished", {**begun, "outcome": outcome}, began_ns=began_ns, private={"result": shown}
        )

    def _shown(self, value: JsonValue) -> str:
        """Return a value as text, where the embedder asked for that."""
        return json.dumps(value, ensure_ascii=False, default=str) if self._telemetry.private else ""

    def _tell(
        self,
        name: str,
        values: dict[str, Scalar],
        *,
        began_ns: int = 0,
        private: dict[str, str] | None = None,
    ) -> None:
        at_ns = self._telemetry.now_ns()
        observation = Observation(
            name=name,
            agent=self._agent.id,
            run=self._run,
            at_ns=at_ns,
            began_ns=began_ns or at_ns,
            values=values,
            private=(private or {}) if self._telemetry.private else {},
        )
        self._telemetry.tell(observation, self._context)
