"""A run's own durable state as JSON, so that it goes on in another process where it stood."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from remit.errors import LedgerError
from remit.gate.usage import Usage
from remit.host.caller import Caller
from remit.host.results import Pending, Step
from remit.messages import Message, Role, ToolCall

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue

FORMAT = 2
ROLES: tuple[Role, ...] = ("user", "assistant", "tool")


@dataclass(slots=True, kw_only=True)
class RunMemo:
    """Where a run stands. Mutable: it is the run's own notebook, written to the store at each stop.

    Args:
        text: what the caller said.
        caller: on whose behalf.
        environment: values given for this run.
        backend: name of the only back-end entry to use; empty for any.
        phase: what is asked next: activate, turn or calls; amend for an amendment that waits.
        messages: the thread.
        queue: proposed calls that were not processed yet; the first is the one that waits.
        usage: the run's counters.
        settled: what of them the document holds already.
        steps: the decision trace.
        turn: number of the last inference call.
        denials_in_a_row: consecutive denials.
        repeated: how often the last call was proposed in a row.
        last_call: digest of the last proposed call.
        classifications: of memory that the thread holds.
        pending: what it waits for.
        answered_by: name of the back-end that answered last.
        builtins: what `dispatch` said about each built-in in this run: allow or deny, by the digest of the
            declarations of back-end and built-in.
        answer: the model's last text.
        proposal: in phase `amend`: exactly what is proposed, see `remit.host.amendment`.
    """

    text: str
    caller: Caller
    environment: dict[str, JsonValue] = field(default_factory=dict["str", "JsonValue"])
    backend: str = ""
    phase: str = "activate"
    messages: list[Message] = field(default_factory=list[Message])
    queue: list[ToolCall] = field(default_factory=list[ToolCall])
    usage: Usage = field(default_factory=Usage)
    settled: Usage = field(default_factory=Usage)
    steps: list[Step] = field(default_factory=list[Step])
    turn: int = 0
    denials_in_a_row: int = 0
    repeated: int = 0
    last_call: str = ""
    classifications: set[str] = field(default_factory=set[str])
    pending: tuple[Pending, ...] = ()
    answered_by: str = ""
    answer: str = ""
    builtins: dict[str, str] = field(default_factory=dict[str, str])
    proposal: dict[str, JsonValue] = field(default_factory=dict["str", "JsonValue"])

    def to_json(self) -> JsonObject:
        """Return the memo as JSON."""
        caller: JsonObject = {
            "id": self.caller.id,
            "kind": self.caller.kind,
            "roles": list(self.caller.roles),
            "attributes": self.caller.attributes,
        }
        classifications: list[JsonValue] = [*sorted(self.classifications)]
        return {
            "format": FORMAT,
            "text": self.text,
            "caller": caller,
            "environment": self.environment,
            "backend": self.backend,
            "phase": self.phase,
            "messages": [_message_value(item) for item in self.messages],
            "queue": [_call_value(item) for item in self.queue],
            "usage": self.usage.to_json(),
            "settled": self.settled.to_json(),
            "steps": [item.to_json() for item in self.steps],
            "turn": self.turn,
            "denials_in_a_row": self.denials_in_a_row,
            "repeated": self.repeated,
            "last_call": self.last_call,
            "classifications": classifications,
            "pending": [item.to_json() for item in self.pending],
            "answered_by": self.answered_by,
            "answer": self.answer,
            "builtins": {**self.builtins},
            "proposal": self.proposal,
            "process": process_identity(),
        }

    @classmethod
    def from_json(cls, value: JsonObject) -> RunMemo:
        """Read what `to_json` wrote.

        Raises:
            LedgerError: it is of another format or damaged.
        """
        if value.get("format") != FORMAT:
            raise LedgerError(f"the run was saved in format `{value.get('format')}`, not `{FORMAT}`")
        try:
            return _read(value)
        except (KeyError, TypeError, ValueError) as error:
            raise LedgerError(f"the run's saved state cannot be read: {error}") from error


def _read(value: JsonObject) -> RunMemo:
    caller = _object(value["caller"])
    kind = caller["kind"]
    return RunMemo(
        text=_text(value["text"]),
        caller=Caller(
            id=_text(caller["id"]),
            kind="service" if kind == "service" else "user",
            roles=tuple(_text(item) for item in _list(caller["roles"])),
            attributes=_object(caller["attributes"]),
        ),
        environment=_object(value["environment"]),
        backend=_text(value["backend"]),
        phase=_text(value["phase"]),
        messages=[_message(_object(item)) for item in _list(value["messages"])],
        queue=[_call(_object(item)) for item in _list(value["queue"])],
        usage=Usage.from_json(_object(value["usage"])),
        settled=Usage.from_json(_object(value["settled"])),
        steps=[_step(_object(item)) for item in _list(value["steps"])],
        turn=_integer(value["turn"]),
        denials_in_a_row=_integer(value["denials_in_a_row"]),
        repeated=_integer(value["repeated"]),
        last_call=_text(value["last_call"]),
        classifications={_text(item) for item in _list(value["classifications"])},
        pending=tuple(_pending(_object(item)) for item in _list(value["pending"])),
        answered_by=_text(value["answered_by"]),
        answer=_text(value["answer"]),
        builtins={name: _text(verdict) for name, verdict in _object(value["builtins"]).items()},
        # Runs that were saved before amendments could wait have none.
        proposal=_object(value.get("proposal", {})),
    )


def _call_value(call: ToolCall) -> JsonObject:
    value: JsonObject = {"id": call.id, "name": call.name, "raw": call.raw}
    if call.arguments is not None:
        value["arguments"] = call.arguments
    return value


def _call(value: JsonObject) -> ToolCall:
    arguments = value.get("arguments")
    return ToolCall(
        id=_text(value["id"]),
        name=_text(value["name"]),
        arguments=None if arguments is None else _object(arguments),
        raw=_text(value["raw"]),
    )


def _message_value(message: Message) -> JsonObject:
    return {
        "role": message.role,
        "text": message.text,
        "tool_calls": [_call_value(item) for item in message.tool_calls],
        "tool_call_id": message.tool_call_id,
        "carried": message.carried,
        "carried_by": message.carried_by,
    }


def _message(value: JsonObject) -> Message:
    name = value["role"]
    role: Role | None = next((known for known in ROLES if known == name), None)
    if role is None:
        raise ValueError(f"`{name}` is no role")
    return Message(
        role=role,
        text=_text(value["text"]),
        tool_calls=tuple(_call(_object(item)) for item in _list(value["tool_calls"])),
        tool_call_id=_text(value["tool_call_id"]),
        carried=_text(value["carried"]),
        carried_by=_text(value["carried_by"]),
    )


def _step(value: JsonObject) -> Step:
    return Step(
        step=_integer(value["step"]),
        principal=_text(value["principal"]),
        action=_text(value["action"]),
        resource=_text(value["resource"]),
        context=_text(value["context"]),
        verdict=_text(value["verdict"]),
        kind=_text(value["kind"]),
        rules=tuple(_text(item) for item in _list(value["rules"])),
        because=_text(value["because"]),
    )


def _pending(value: JsonObject) -> Pending:
    return Pending(
        id=_text(value["id"]),
        action=_text(value["action"]),
        resource=_text(value["resource"]),
        arguments=_object(value["arguments"]),
        by=_text(value["by"]),
        rules=tuple(_text(item) for item in _list(value["rules"])),
        because=_text(value["because"]),
        # Runs that were saved before approvals had a time limit have none.
        until=_text(value.get("until", "")),
    )


def _text(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value


def _integer(value: JsonValue) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("an integer was expected")
    return value


def _list(value: JsonValue) -> list[JsonValue]:
    if not isinstance(value, list):
        raise TypeError("a list was expected")
    return value


def _object(value: JsonValue) -> JsonObject:
    if not isinstance(value, dict):
        raise TypeError("an object was expected")
    return value


def process_identity() -> JsonObject:
    """Name this process so that another one can tell whether it still lives."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}


def is_alive(value: JsonValue) -> bool:
    """Whether the process that `process_identity` named still runs on this machine."""
    identity: JsonObject = value if isinstance(value, dict) else {}
    pid = identity.get("pid")
    if identity.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return identity.get("started") == _started(pid)


def _started(pid: int) -> str:
    """Return when a process started, in the kernel's own unit; empty where there is no such file."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    # A zombie has ended, although its number is still taken until its parent collects it.
    if fields[0] == "Z":
        return "ended"
    return fields[19]
