"""A written conversation: what a model says, turn by turn, in words that belong to no vendor."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.carriers import format_of, read_value
from remit.document.values import canonical_bytes
from remit.errors import DocumentError, Fault
from remit.host.events import CallProposed, TextArrived, TurnFinished

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from remit.document.places import Parsed
    from remit.document.values import JsonObject, JsonValue
    from remit.host.events import RunEvent

STOPS = ("end", "tool_calls", "length", "refused")
_MEMBERS = ("say", "call", "calls", "raw_call", "raw_calls", "stop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One turn of the model.

    Args:
        text: its words.
        calls: name and argument text of each proposed call, in order.
        stop: end, tool_calls, length or refused.
    """

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    stop: str = "end"

    def step(self) -> JsonObject:
        """Return the turn as a step of the adapter `scripted`."""
        calls: list[JsonValue] = [{"name": name, "raw": raw} for name, raw in self.calls]
        step: JsonObject = {"say": self.text, "stop": self.stop}
        return {**step, "raw_calls": calls} if calls else step


def closed(said: Sequence[Said]) -> tuple[Said, ...]:
    """Return the turns with an end, so that a run never waits for a word that nobody wrote."""
    turns = tuple(said)
    return turns if turns and not turns[-1].calls else (*turns, Said())


def read_transcript(path: Path) -> tuple[Said, ...]:
    """Read a transcript file: a list of steps, or an object with a member `script`.

    A step is what the adapter `scripted` knows: `say`, `call`, `calls`, `raw_call`, `raw_calls`, `stop`.

    Raises:
        DocumentError: it cannot be read, or a step is not acceptable; names file, line and column.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DocumentError(
            Fault(message=f"`{path.as_posix()}` cannot be read: {error.strerror or error}")
        ) from error
    parsed = read_value(data, format=format_of(path.name), file=path.as_posix())
    if isinstance(parsed.value, dict):
        return turns_of(parsed, "/script", parsed.value.get("script"))
    return turns_of(parsed, "", parsed.value)


def turns_of(parsed: Parsed, pointer: str, value: JsonValue) -> tuple[Said, ...]:
    """Read the steps of a transcript that stands in a larger file.

    Args:
        parsed: the file, for places.
        pointer: where the steps stand in it.
        value: what stands there.

    Raises:
        DocumentError: a step is not acceptable; names file, line and column.
    """
    if not isinstance(value, list) or not value:
        raise DocumentError(
            _fault(
                parsed,
                pointer,
                "a transcript is a list of steps, at least one",
                "begin each with `- say:` or `- call:`",
            )
        )
    return tuple(_said(parsed, f"{pointer}/{index}", item) for index, item in enumerate(value))


def _said(parsed: Parsed, pointer: str, step: JsonValue) -> Said:
    if not isinstance(step, dict) or not step:
        raise DocumentError(_fault(parsed, pointer, f"a step holds some of {_listed(_MEMBERS)}"))
    unknown = sorted(set(step) - set(_MEMBERS))
    if unknown:
        raise DocumentError(
            _fault(
                parsed,
                f"{pointer}/{unknown[0]}",
                f"`{unknown[0]}` is none of {_listed(_MEMBERS)}",
                "write one of them",
            )
        )
    calls: list[tuple[str, str]] = []
    for member in ("call", "calls", "raw_call", "raw_calls"):
        if member not in step:
            continue
        plural = member.endswith("s")
        value = step[member]
        if plural and not isinstance(value, list):
            raise DocumentError(_fault(parsed, f"{pointer}/{member}", f"`{member}` is not a list"))
        items = value if isinstance(value, list) else [value]
        for index, item in enumerate(items):
            place = f"{pointer}/{member}" + (f"/{index}" if plural else "")
            calls.append(_call(parsed, place, item, raw=member.startswith("raw")))
    text = step.get("say", "")
    if not isinstance(text, str):
        raise DocumentError(_fault(parsed, f"{pointer}/say", "`say` is not a text"))
    stop = step.get("stop", "tool_calls" if calls else "end")
    if not isinstance(stop, str) or stop not in STOPS:
        raise DocumentError(_fault(parsed, f"{pointer}/stop", f"`stop` is none of {_listed(STOPS)}"))
    return Said(text=text, calls=tuple(calls), stop=stop)


def _call(parsed: Parsed, pointer: str, item: JsonValue, *, raw: bool) -> tuple[str, str]:
    members = item if isinstance(item, dict) else {}
    name = members.get("name")
    if raw:
        text = members.get("raw")
        if isinstance(name, str) and isinstance(text, str) and set(members) == {"name", "raw"}:
            return name, text
        raise DocumentError(_fault(parsed, pointer, "a raw call is an object of two texts, `name` and `raw`"))
    arguments = members.get("arguments", {})
    if isinstance(name, str) and isinstance(arguments, dict) and set(members) <= {"name", "arguments"}:
        return name, canonical_bytes(arguments).decode("utf-8")
    raise DocumentError(_fault(parsed, pointer, "a call is an object of `name` and `arguments`"))


def _fault(parsed: Parsed, pointer: str, message: str, hint: str = "") -> Fault:
    line, column = parsed.place(pointer)
    return Fault(message=message, file=parsed.file, line=line, column=column, pointer=pointer, hint=hint)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def heard(events: Sequence[RunEvent]) -> tuple[Said, ...]:
    """Return what a model said in a run, from the run's events."""
    turns: list[Said] = []
    texts: list[str] = []
    stop = ""
    calls: list[tuple[str, str]] = []
    for event in events:
        if isinstance(event, TextArrived):
            if stop:
                turns.append(Said(text="".join(texts), calls=tuple(calls), stop=stop))
                texts, calls, stop = [], [], ""
            texts.append(event.text)
        elif isinstance(event, TurnFinished):
            if stop:
                turns.append(Said(text="".join(texts), calls=tuple(calls), stop=stop))
                texts, calls = [], []
            stop = event.stop if event.stop in STOPS else "end"
        elif isinstance(event, CallProposed):
            # What is no strict object is shown without its text; any other text that is none does as well.
            raw = "{" if event.arguments is None else json.dumps(event.arguments, ensure_ascii=False)
            calls.append((event.tool, raw))
    if stop or texts:
        turns.append(Said(text="".join(texts), calls=tuple(calls), stop=stop or "end"))
    return tuple(turns)
