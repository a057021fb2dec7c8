"""Acting on an agent's head in a store: which store, which agent, who acts, and what came of it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from remit.cli.agents import existing_store, find_agent, is_store_named, no_store, read_target, store_place
from remit.cli.exits import ExitCode, bad_input
from remit.cli.openings import PLAIN, Opening, tools_folder
from remit.cli.options import caller_from, caller_hint
from remit.cli.output import Session, short, shortened
from remit.cli.stores import AuditableStore, open_auditable
from remit.cli.telemetry import chosen_telemetry
from remit.host.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from remit.document.model import Document
    from remit.host.caller import Caller
    from remit.host.results import Answer


@contextmanager
def open_head(
    name: str, *, store: str | None, opening: Opening = PLAIN, adopt: bool = True
) -> Generator[tuple[Runtime, AuditableStore]]:
    """Open the head of an agent.

    Args:
        name: a project folder, a document file, the beginning of an agent id, or empty for the only agent.
        store: `--store`.
        opening: where Python tools are found (beside the store, or in the project folder, where it does not
            say), and whose signatures are needed.
        adopt: put an agent into the store that is not there yet, and make the store if there is none; a
            project's own store, where none was named, may always be new.

    Raises:
        FaultsError: there is no such store or agent, and none is to be made.
    """
    document: Document | None = None
    if name and Path(name).exists():
        target = read_target(name)
        adopt = adopt or not is_store_named(store)
        place, document = target.store(store), target.document
        if not adopt and not place.begun:
            raise no_store(place)
        if place.folder is not None:
            place.folder.parent.mkdir(parents=True, exist_ok=True)
        tools = target.folder if opening.folder is None else Path(opening.folder)
    else:
        place = existing_store(store)
        tools = tools_folder(opening.folder, place)
    opened = open_auditable(place, read_only=False)
    try:
        if document is not None and not adopt and opened.load(document.identity.agent) is None:
            held = ", ".join(f"`{short(agent)}`" for agent, _ in opened.agents()[:8]) or "none"
            raise bad_input(
                f"the store holds no agent of `{name}`",
                f"it holds {held}: name one of these, or another store with `--store`",
            )
        telemetry = chosen_telemetry()
        with Runtime.open(
            document or find_agent(opened, name),
            store=opened,
            folder=tools,
            telemetry=telemetry.sinks,
            telemetry_content=telemetry.content,
            trust=opening.trust,
            signed=opening.documents(),
        ) as runtime:
            yield runtime, opened
    finally:
        opened.close()


def looks_like_run(name: str, *, store: str | None) -> bool:
    """Whether `name` is the id of a run in the store."""
    if Path(name).exists() or not store_place(store).begun:
        return False
    opened = open_auditable(existing_store(store))
    try:
        return opened.load_run(name) is not None
    finally:
        opened.close()


def act(
    session: Session,
    name: str,
    deed: Callable[[Runtime, Caller], Answer],
    *,
    person: str | None,
    roles: Sequence[str],
    attributes: Sequence[str],
    reason: str,
    store: str | None,
    opening: Opening = PLAIN,
) -> int:
    """Do one thing to an agent on a person's behalf, and say what came of it.

    Returns:
        The exit code: denied where it was not allowed.
    """
    if not reason.strip():
        raise bad_input("the reason is empty", "say why with `--reason`")
    with open_head(name, store=store, opening=opening, adopt=False) as (runtime, _):
        schema = runtime.document.governance.caller_schema
        caller = caller_from(person, roles, attributes, schema=schema)
        answer = deed(runtime, caller)
    return show_answer(session, answer, hint=caller_hint(caller, answer.because, schema=schema))


def show_answer(session: Session, answer: Answer, *, hint: str = "") -> int:
    """Write an answer, and where it is a deny what would help; return the exit code."""
    if session.json:
        session.emit(answer.to_json())
    else:
        mark, style = ("✓ allowed", "bold green") if answer.allowed else ("✗ denied", "bold red")
        rules = f"  [{', '.join(answer.rules)}]" if answer.rules else ""
        session.parts(
            (mark, style), (f"  {answer.action} → {shortened(answer.resource)}", ""), (rules, "cyan")
        )
        if answer.because:
            session.say(f"  because   {answer.because}")
        elif not answer.allowed:
            session.say(f"  because   {answer.kind.replace('_', ' ')}")
        if hint and not answer.allowed:
            session.note(hint, indent=2, style="yellow")
        if answer.revision:
            session.say(f"  revision  {short(answer.revision)}  {answer.revision}")
    return ExitCode.FINE if answer.allowed else ExitCode.DENIED
