"""A run as people watch it: one numbered line a decision, with its rule and reason, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.cli.agents import command_line
from remit.cli.decide import MARKS
from remit.cli.output import Session, compact, one_line, short, shortened
from remit.host.events import (
    ApprovalRequested,
    BackendOpened,
    BackendSkipped,
    BuiltinUsed,
    Decided,
    EngineDiverged,
    MemoryChanged,
    RunEvent,
    RunStarted,
    TextArrived,
    ToolFinished,
    TurnFinished,
    UnknownReported,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.host.results import RunResult
    from remit.host.vendor_objects import Leftover

_WORD = 8
"""Columns of a verdict; a longer one pushes the rest of its line to the right."""
_STATUS_STYLE = {"completed": "green", "awaiting_approval": "yellow"}


class Timeline:
    """Writes events as they come.

    Args:
        session: where to.
        known: revision that the user's own document has; a later head is pointed out.
    """

    def __init__(self, session: Session, *, known: str = "") -> None:
        self._session = session
        self._known = known
        self._in_text = False

    def show(self, event: RunEvent) -> None:
        """Write one event."""
        if isinstance(event, TextArrived):
            if not self._in_text:
                self._session.stream("     “")
            self._in_text = True
            self._session.stream(event.text.replace("\n", "\n      "))
            return
        self._end_text()
        if isinstance(event, RunStarted):
            self._started(event)
        elif isinstance(event, Decided):
            self._decided(event)
        elif isinstance(event, ToolFinished):
            self._tool(event)
        else:
            self._other(event)

    def _other(self, event: RunEvent) -> None:
        match event:
            case BackendOpened():
                self._note(f"back-end {event.name}: {event.model} ({event.adapter}, {event.region})")
            case BackendSkipped():
                self._note(f"back-end {event.name} skipped: {event.reason}", style="yellow")
            case BuiltinUsed():
                self._note(f"{event.name} used at the vendor's: {compact(event.detail)}")
            case MemoryChanged():
                self._note(f"{event.operation} in {event.block}, revision {short(event.revision)}")
            case UnknownReported():
                what = f"{event.action} on {event.target} in run {event.run}"
                self._note(f"outcome unknown: {what}; it is not repeated", style="yellow")
            case EngineDiverged():
                what = f"compiled {event.compiled}, Cedar {event.reference}"
                self._note(
                    f"the engines differ on {event.action}: {what}; Cedar decides from now on", style="red"
                )
            case ApprovalRequested():
                self._note(f"arguments {compact(event.arguments)}")
            case TurnFinished(stop="length"):
                self._note("the answer was cut at the token limit", style="yellow")
            case _:
                pass

    def _started(self, event: RunStarted) -> None:
        verb = "resumed" if event.resumed else "started"
        dry = ", dry run: nothing is done" if event.dry_run else ""
        self._session.parts(
            (f"run {event.run} {verb}", "bold"), (f" for {event.caller}, agent {short(event.agent)}{dry}", "")
        )
        if self._known and self._known != event.revision:
            self._note(f"goes on from revision {short(event.revision)}, the newest one in the store")

    def _decided(self, event: Decided) -> None:
        mark, style = MARKS.get(event.verdict, ("?", ""))
        rules = f"  [{', '.join(event.rules)}]" if event.rules else ""
        word = event.verdict.replace("_", " ")
        self._session.parts(
            (f"{event.step:>3}  ", "dim"),
            (f"{mark} {word:<8} " if len(word) <= _WORD else f"{mark} {word}  ", style),
            (f"{event.action} → {one_line(_plain(event.resource))}", ""),
            (rules, "cyan"),
        )
        if event.because:
            self._note(f"because {one_line(event.because, limit=400)}")
        elif event.verdict != "allow":
            self._note(f"because {event.kind.replace('_', ' ')}")

    def _tool(self, event: ToolFinished) -> None:
        style = "" if event.outcome in {"ok", "dry_run"} else "yellow"
        self._note(f"{event.tool} {event.outcome.replace('_', ' ')}: {compact(event.value)}", style=style)

    def _note(self, text: str, *, style: str = "dim") -> None:
        self._session.note(text, indent=5, style=style)

    def _end_text(self) -> None:
        if self._in_text:
            self._session.stream("”\n")
        self._in_text = False

    def finish(self, result: RunResult, *, settle: Sequence[str] = (), hint: str = "") -> None:
        """Write how the run stands.

        Args:
            result: what it came to.
            settle: options that `approve` needs beside the approval's id, such as `--store DIR`.
            hint: what would help where the run was not allowed to start; may be empty.
        """
        self._end_text()
        session = self._session
        style = _STATUS_STYLE.get(result.status, "red")
        session.parts(
            (result.status.replace("_", " "), f"bold {style}"),
            (f": {one_line(result.reason, limit=600)}" if result.reason else "", ""),
        )
        if hint and result.status == "denied":
            session.note(hint, indent=2, style="yellow")
        usage = ", ".join(f"{name} {count}" for name, count in result.usage.items() if count)
        session.say(f"  usage     {usage or 'none'}")
        session.say(f"  revision  {short(result.revision)}  {result.revision}")
        if result.pending is not None:
            waiting = result.pending
            session.say(f"  waiting   {waiting.action} {compact(waiting.arguments)}", style="yellow")
            limit = f" until {waiting.until}" if waiting.until else ""
            session.say(
                f"            for a person with role {waiting.by}{limit}: {waiting.because}", style="yellow"
            )
            line = command_line(
                "remit",
                "approve",
                waiting.id,
                "--as",
                f"NAME:{waiting.by}",
                "--reason",
                "…",
                "--continue",
                *settle,
            )
            session.say(f"  approve   {line}")

    def leftovers(self, left: Sequence[Leftover], *, store: str) -> None:
        """Say what a run may have left at vendors, and how to delete it; nothing where nothing is left."""
        if left:
            what = ", ".join(f"{item.thing.kind} {item.thing.id or item.thing.tag}" for item in left)
            self._session.say(f"  left      {what} at the vendor", style="yellow")
            self._session.say(f"  delete    {command_line('remit', 'backends', 'sweep', '--store', store)}")


def _plain(resource: str) -> str:
    return shortened(resource).removeprefix("Remit::").replace('::"', " ").removesuffix('"')
