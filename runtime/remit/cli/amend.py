"""`remit amend`: change the governance or the capabilities of an agent in a store, under its own rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from remit.cli.agents import STORE_FOLDER, Target, command_line, existing_store, find_agent, read_target
from remit.cli.exits import ExitCode, bad_input
from remit.cli.heads import show_answer
from remit.cli.openings import Opening, opening_options
from remit.cli.options import (
    attribute_options,
    caller_from,
    caller_hint,
    common,
    example,
    person_options,
    store_option,
)
from remit.cli.output import short
from remit.cli.stores import open_auditable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.cli.output import Session
    from remit.document.model import Document
    from remit.document.values import JsonObject
    from remit.host.location import Location
    from remit.host.results import Answer
    from remit.host.stores import Store


@click.command(
    "amend",
    epilog=example(
        """remit amend 4f1c --from refund-desk --as ana:author --reason "smaller refunds" --store .remit""",
        "remit amend refund-desk --from new.agent.json --as ana:author --reason ...",
    ),
)
@click.argument("agent", default="")
@click.option(
    "--from", "source", required=True, metavar="NEW", help="Project folder or document to take the fields of."
)
@click.option("--reason", required=True, help="Why, in your own words; approvers approve it too.")
@opening_options
@person_options
@store_option
@common
def command(
    session: Session,
    *,
    agent: str,
    source: str,
    reason: str,
    opening: Opening,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Give AGENT the governance and the capabilities of NEW, or let that wait for approval.

    AGENT is an agent in the store: the beginning of its id, or a document or project folder of it.
    """
    if not reason.strip():
        raise bad_input("the reason is empty", "say why with `--reason`")
    target = read_target(source)
    target.compile()
    named = read_target(agent) if agent and Path(agent).exists() else None
    place = existing_store(store if named is None else named.store(store).text)
    opened = open_auditable(place, read_only=False)
    try:
        head = _head(opened, agent, named, place)
        changed = _changed(head, target.document, source)
        schema = head.governance.caller_schema
        caller = caller_from(person, roles, attributes, schema=schema)
        with opening.runtime(head, store=opened, place=place) as runtime:
            answer = runtime.amend(
                by=caller,
                reason=reason,
                governance=changed.get("governance"),
                capabilities=changed.get("capabilities"),
            )
    finally:
        opened.close()
    if answer.kind != "awaiting_approval":
        return show_answer(session, answer, hint=caller_hint(caller, answer.because, schema=schema))
    if session.json:
        session.emit(answer.to_json())
    else:
        options = (*opening.words(), *attribute_options(caller, schema=schema))
        _show_waiting(session, answer, place, options, changed)
    return ExitCode.AWAITING_APPROVAL


def _head(store: Store, name: str, named: Target | None, place: Location) -> Document:
    """Return the head that is meant; a folder that was edited since means its own store's only agent."""
    agents = dict(store.agents())
    if named is None:
        return find_agent(store, name)
    known = named.document.identity.agent
    if known in agents:
        return find_agent(store, known)
    own = named.folder / STORE_FOLDER
    if named.project and place.folder is not None and place.folder.resolve() == own.resolve():
        return find_agent(store, "")
    held = ", ".join(f"`{short(agent)}`" for agent in list(agents)[:8]) or "none"
    raise bad_input(
        f"the store holds no agent of `{named.label}`",
        f"it holds {held}: name the agent to amend by its id; what it becomes is named by `--from`",
    )


def _changed(head: Document, new: Document, source: str) -> dict[str, JsonObject]:
    before, after = head.identity.fields, new.identity.fields
    if head.memory.value.get("blocks") != new.memory.value.get("blocks"):
        raise bad_input(
            f"`{source}` declares other memory blocks than the agent has",
            "an amendment changes governance and capabilities alone; leave the blocks as they are",
        )
    fields = {
        name: value
        for name, value in (("governance", new.governance.value), ("capabilities", new.capabilities.value))
        if before[name] != after[name]
    }
    if not fields:
        raise bad_input(
            f"`{source}` has the governance and the capabilities that the agent has already",
            "there is nothing to amend",
        )
    return fields


def _show_waiting(
    session: Session,
    answer: Answer,
    place: Location,
    options: Sequence[str],
    changed: dict[str, JsonObject],
) -> None:
    value = cast("JsonObject", answer.value)
    run = str(value["run"])
    store = ("--store", place.shown)
    session.parts(("⏸ awaiting approval", "bold yellow"), (f"  amend {', '.join(sorted(changed))}", ""))
    if answer.because:
        session.say(f"  because   {answer.because}")
    session.say(f"  run       {run}")
    session.say(f"  revision  {short(answer.revision)}  {answer.revision}")
    session.say(f"  review    {command_line('remit', 'ledger', 'show', '--run', run, *store, '--json')}")
    for item in cast("list[JsonObject]", value["pending"]):
        line = command_line(
            "remit", "approve", str(item["id"]), "--as", f"NAME:{item['by']}", "--reason", "…", "--continue"
        )
        if item["until"]:
            session.say(f"  until     {item['until']}")
        session.say(f"  approve   {line} {command_line(*store, *options)}")
