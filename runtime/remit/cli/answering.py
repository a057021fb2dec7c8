"""What `approve` and `refuse` share: find what waits, record a person's answer, and let the run go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.cli.agents import existing_store, find_agent
from remit.cli.exits import ExitCode, bad_input, code_of_status
from remit.cli.options import attribute_options, caller_from, caller_hint
from remit.cli.output import Session, short
from remit.cli.stores import open_auditable
from remit.cli.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.cli.openings import Opening
    from remit.document.model import Document, PendingApproval
    from remit.document.values import JsonObject
    from remit.host.stores import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A pending approval and the head that holds it."""

    document: Document
    pending: PendingApproval


def find_waiting(store: Store, name: str) -> Waiting:
    """Return what `name` means: an approval's id or a run's id, or a unique beginning of one.

    Raises:
        FaultsError: nothing, or more than one thing, is meant.
    """
    everything = [
        Waiting(document=document, pending=pending)
        for agent, _ in store.agents()
        for document in (find_agent(store, agent),)
        for pending in document.execution_state.pending
    ]
    found = [item for item in everything if name and name in {item.pending.id, item.pending.run}]
    if not found and name:
        found = [
            item
            for item in everything
            if item.pending.id.startswith(name) or item.pending.run.startswith(name)
        ]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"`{item.pending.id}` ({item.pending.action})" for item in (found or everything)[:8])
    if found:
        raise bad_input(f"`{name}` could be several approvals", f"name one of {listed}")
    raise bad_input(
        f"nothing waits under `{name}`",
        f"waiting are {listed}" if listed else "no approval is pending in this store",
    )


def settle(
    session: Session,
    name: str,
    *,
    approved: bool,
    go_on: bool,
    person: str | None,
    roles: Sequence[str],
    attributes: Sequence[str],
    reason: str,
    meaning: str,
    store: str | None,
    opening: Opening,
) -> int:
    """Record a person's answer; with `go_on`, let the run go on.

    Returns:
        The exit code.
    """
    if not reason.strip():
        raise bad_input("the reason is empty", "say why with `--reason`")
    place = existing_store(store)
    opened = open_auditable(place, read_only=False)
    try:
        waiting = find_waiting(opened, name)
        document, pending = waiting.document, waiting.pending
        caller = caller_from(person, roles, attributes, schema=document.governance.caller_schema)
        with opening.runtime(document, store=opened, place=place) as runtime:
            act = runtime.approve if approved else runtime.refuse
            answer = act(pending.id, by=caller, reason=reason, meaning=meaning)
            value: JsonObject = {"answer": answer.to_json(), "approval": pending.id, "run": pending.run}
            if not session.json:
                _show(session, answer.allowed, answer.because, pending, approved=approved)
                if not answer.allowed:
                    _hint(
                        session, caller_hint(caller, answer.because, schema=document.governance.caller_schema)
                    )
            if not answer.allowed or not go_on:
                if session.json:
                    session.emit(value)
                return ExitCode.FINE if answer.allowed else ExitCode.DENIED
            timeline = Timeline(session)
            result = runtime.resume_run(pending.run, on_event=timeline.show)
            if session.json:
                session.emit({**value, "result": result.to_json()})
            else:
                options = attribute_options(caller, schema=document.governance.caller_schema)
                timeline.finish(result, settle=("--store", place.shown, *opening.words(), *options))
            return code_of_status(result.status)
    finally:
        opened.close()


def _hint(session: Session, hint: str) -> None:
    if hint:
        session.note(hint, indent=2, style="yellow")


def _show(session: Session, allowed: bool, because: str, pending: PendingApproval, *, approved: bool) -> None:  # noqa: FBT001  # one word of the sentence
    verb = "approved" if approved else "refused"
    if allowed:
        session.parts(
            (verb, "bold green"), (f" {pending.action} ({short(pending.id)}) of run {pending.run}", "")
        )
    else:
        session.parts(("denied", "bold red"), (f": {because}", ""))
