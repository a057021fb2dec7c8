"""`remit memory`: what an agent remembers; reading values and erasing are governed like everything else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from remit.cli.agents import read_file
from remit.cli.exits import ExitCode, bad_input
from remit.cli.heads import open_head, show_answer
from remit.cli.options import (
    caller_from,
    caller_hint,
    common,
    example,
    person_options,
    store_option,
    value_from,
)
from remit.cli.output import Session, compact, short
from remit.document.entries import MemoryProof, prove, select, verify_proof
from remit.document.json_text import parse_json
from remit.document.memory_tree import Step, Way
from remit.errors import DocumentError, Fault
from remit.host.holds import names_subject
from remit.host.retention import SubjectEraser, erase_contents, records_naming
from remit.project.build import write_whole
from remit.project.source import listing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from remit.cli.stores import AuditableStore
    from remit.document.memory import Entry, Memory
    from remit.document.values import JsonObject, JsonValue
    from remit.host.holds import Hold
    from remit.host.results import Answer

_ROOT = re.compile(r"sha256:[0-9a-f]{64}")


@click.group(
    "memory",
    epilog=example("remit memory list refund-desk", "remit memory erase care --subject p-17 --as ann"),
)
def command() -> None:
    """List, recall, prove and erase what an agent remembers."""


@command.command("list", epilog=example("remit memory list care-navigator --block visits"))
@click.argument("agent", default="")
@click.option("--block", default=None, help="Only this block.")
@store_option
@common
def list_entries(session: Session, *, agent: str, block: str | None, store: str | None) -> int:
    """List entries without their values: what is known to exist, and what was erased."""
    with open_head(agent, store=store) as (runtime, _):
        memory = runtime.document.memory
        names = [item.name for item in memory.blocks]
        if block is not None and block not in names:
            raise bad_input(f"no memory block is called `{block}`", f"blocks are {listing(names) or 'none'}")
        entries = [_metadata(entry) for entry in select(memory, block=block)]
    if session.json:
        session.emit({"root": memory.value.get("root"), "count": len(entries), "entries": [*entries]})
        return ExitCode.FINE
    for entry in entries:
        erased = entry["key"] is None
        session.parts(
            (f"{str(entry['id'])[:12]}  ", "dim"),
            (f"{entry['block']}  ", "bold"),
            ("(erased)" if erased else str(entry["key"]), "dim" if erased else ""),
            (f"  {entry['operation']} by {entry['author']} at {entry['at']}", "dim"),
        )
    session.say(f"{len(entries)} entries, root {memory.value.get('root')}", style="bold")
    return ExitCode.FINE


def _metadata(entry: Entry) -> JsonObject:
    return {
        "id": entry.id,
        "block": entry.block,
        "key": entry.key,
        "author": entry.author,
        "operation": entry.operation,
        "at": entry.at,
        "erased": entry.key is None,
    }


@command.command(
    "remember",
    epilog=example('remit memory remember care-navigator visits "knee" --subject p-17 --as ann:care'),
)
@click.argument("agent")
@click.argument("block")
@click.argument("value")
@click.option("--key", default=None, help="Name within the block. Default: a random one.")
@click.option("--subject", default="", help="The data subject.")
@person_options
@store_option
@common
def remember(
    session: Session,
    *,
    agent: str,
    block: str,
    value: str,
    key: str | None,
    subject: str,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Write VALUE into BLOCK, if the rules allow it: JSON, or text where it reads as none."""
    with open_head(agent, store=store) as (runtime, _):
        schema = runtime.document.governance.caller_schema
        caller = caller_from(person, roles, attributes, schema=schema)
        answer = runtime.remember(block, value_from(value), by=caller, key=key, subject=subject)
    return show_answer(session, answer, hint=caller_hint(caller, answer.because, schema=schema))


@command.command("recall", epilog=example("remit memory recall care-navigator visits --as ann:nurse"))
@click.argument("agent")
@click.argument("block")
@click.option("--subject", default="", help="Only of this data subject.")
@person_options
@store_option
@common
def recall(
    session: Session,
    *,
    agent: str,
    block: str,
    subject: str,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Read the values of BLOCK, if the rules allow it."""
    with open_head(agent, store=store) as (runtime, _):
        schema = runtime.document.governance.caller_schema
        caller = caller_from(person, roles, attributes, schema=schema)
        answer = runtime.recall(block, by=caller, subject=subject)
    code = show_answer(session, answer, hint=caller_hint(caller, answer.because, schema=schema))
    if not session.json and isinstance(answer.value, list):
        for item in answer.value:
            session.say(f"  {compact(item, limit=1000)}")
    return code


@command.command(
    "erase", epilog=example("remit memory erase care-navigator --block visits --subject p-17 --as ann:dpo")
)
@click.argument("agent")
@click.option("--subject", default="", help="Erase all entries of this data subject.")
@click.option("--entry", default="", help="Erase this entry: its id or key.")
@click.option(
    "--block", default="", help="The block. Default with --subject: every block with a data subject."
)
@click.option(
    "--ledger",
    "from_ledger",
    is_flag=True,
    help="With --subject, and where the rules allow the erasure: also what the ledger's records of this "
    "agent say beside the log and that names the person.",
)
@person_options
@store_option
@common
def erase(
    session: Session,
    *,
    agent: str,
    subject: str,
    entry: str,
    block: str,
    from_ledger: bool,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Erase one entry, or everything about one person; identities and proofs still verify."""
    if bool(subject) == bool(entry):
        raise bad_input("say what to erase", "give either `--subject` or `--entry`")
    if entry and not block:
        raise bad_input("`--entry` needs its block", "give `--block` too")
    if from_ledger and not subject:
        raise bad_input("`--ledger` needs a data subject", "give `--subject`")
    with open_head(agent, store=store, adopt=False) as (runtime, opened):
        document = runtime.document
        caller = caller_from(person, roles, attributes, schema=document.governance.caller_schema)
        named = [item.name for item in document.memory.blocks if item.subject]
        blocks = [block] if block else named
        if not blocks:
            raise bad_input("no block of this agent has a data subject", "name one with `--block`")
        answers = [runtime.erase(name, by=caller, entry=entry, subject=subject) for name in blocks]
        revision = runtime.document.identity.revision
        records: tuple[int, ...] = ()
        keepers: tuple[Hold, ...] = ()
        if from_ledger and all(answer.allowed for answer in answers):
            records, keepers = _erase_contents(opened, document.identity.agent, subject, by=caller.id)
        keys = _forget(opened, document.identity.agent, subject, answers)
    erased: list[JsonValue] = [
        item
        for answer in answers
        if answer.allowed and isinstance(answer.value, list)
        for item in answer.value
    ]
    if session.json:
        session.emit(
            {
                "answers": [answer.to_json() for answer in answers],
                "erased": erased,
                "revision": revision,
                "ledger_contents_erased": [*records],
                "ledger_holds": [hold.id for hold in keepers],
                "subject_keys_kept": keys,
            }
        )
    else:
        for answer in answers:
            show_answer(
                session,
                answer,
                hint=caller_hint(caller, answer.because, schema=document.governance.caller_schema),
            )
        session.say(f"{len(erased)} entries erased, revision {short(revision)}", style="bold")
        if from_ledger:
            session.say(f"contents of {len(records)} ledger records erased", style="bold")
        for hold in keepers:
            session.say(f"some are kept: {hold}", style="yellow")
        _say_keys(session, keys, from_ledger=from_ledger)
    done = all(answer.allowed for answer in answers) and not keepers
    return ExitCode.FINE if done else ExitCode.DENIED


def _forget(
    opened: AuditableStore, agent: str, subject: str, answers: Sequence[Answer]
) -> dict[str, JsonValue] | None:
    """Destroy a person's keys that nothing needs any more, where an erasure of all about them was allowed.

    Returns:
        What the keys that are still there seal; None where nothing is to be said of keys.
    """
    allowed = subject and all(answer.allowed for answer in answers)
    if not allowed or not isinstance(opened, SubjectEraser):
        return None
    return dict(sorted(opened.forget_subject(agent, subject).items()))


def _say_keys(session: Session, keys: Mapping[str, JsonValue] | None, *, from_ledger: bool) -> None:
    """Say whether copies of the store can still be read about a person, and why."""
    if keys is None:
        return
    if "memory" not in keys:
        session.say("no key of these entries is left: no copy of the store gives them back", style="bold")
    if "ledger" not in keys:
        session.say(
            "no key of ledger contents about this person is left: no copy gives those back that were sealed",
            style="bold",
        )
    why = {
        "memory": "entries in other blocks or written meanwhile need it",
        "ledger": "what is kept needs it" if from_ledger else "`--ledger` erases what needs it",
    }
    words = {"memory": "entries", "ledger": "ledger contents"}
    for use, sealed in keys.items():
        because = why[use] if sealed else "it cannot be destroyed now; the next erasure or opening does"
        session.say(f"the key of {sealed} {words[use]} is kept: {because}", style="yellow")


def _erase_contents(
    opened: AuditableStore, agent: str, subject: str, *, by: str
) -> tuple[tuple[int, ...], tuple[Hold, ...]]:
    """Erase contents of an agent's records that name a person; return their indexes, and what kept others."""
    # INVARIANT: what is erased is not named again by the record of its erasure.
    asker = "the data subject" if names_subject(by, subject) else by
    found = records_naming(opened, agent, subject)
    return erase_contents(opened, found, by=asker, reason="erasure of one person's data")


@command.command("prove", epilog=example("remit memory prove care-navigator 3f0c… -o proof.json"))
@click.argument("agent")
@click.argument("entry")
@click.option("-o", "--output", default=None, metavar="FILE", help="Write the proof there.")
@store_option
@common
def prove_entry(session: Session, *, agent: str, entry: str, output: str | None, store: str | None) -> int:
    """Prove that ENTRY is, or is not, in the memory whose root the revision's identity covers."""
    with open_head(agent, store=store) as (runtime, _):
        document = runtime.document
        name = _whole_id(document.memory, entry)
        value = proof_value(prove(document.memory, name), root=str(document.memory.value.get("root", "")))
        value["revision"] = document.identity.revision
    if output is not None:
        write_whole(Path(output), (json.dumps(value, indent=2) + "\n").encode())
    if session.json or output is None:
        session.emit(value)
    else:
        session.say(f"{'present' if value['present'] else 'absent'}: proof in {output}", style="bold")
    return ExitCode.FINE


def _whole_id(memory: Memory, name: str) -> str:
    found = [entry.id for entry in select(memory) if entry.id.startswith(name.lower())] if name else []
    return found[0] if len(found) == 1 else name.lower()


def proof_value(proof: MemoryProof, *, root: str) -> JsonObject:
    """Return a proof as a JSON object with stable keys."""
    way: JsonValue = None
    if proof.way is not None:
        way = cast("JsonValue", _plain(proof.way))
    return {"root": root, "id": proof.id, "present": proof.present, "leaf": proof.leaf, "way": way}


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(item) for item in cast("tuple[object, ...]", value)]
    names = getattr(type(value), "__dataclass_fields__", None)
    if names is not None:
        return {name: _plain(getattr(value, name)) for name in names}
    return value


@command.command("check-proof", epilog=example("remit memory check-proof proof.json --root sha256:…"))
@click.argument("proof")
@click.option(
    "--root", required=True, metavar="DIGEST", help="The memory root, from a document that you verified."
)
@common
def check_proof(session: Session, *, proof: str, root: str) -> int:
    """Check a proof of presence or absence against a root; needs neither store nor document."""
    if _ROOT.fullmatch(root) is None:
        raise bad_input(
            f"`--root {root}` is no digest", "write `sha256:` and 64 hex digits, as `remit memory list` does"
        )
    data = read_file(proof, hint="make one with `remit memory prove`")
    held = proof_from(parse_json(data, file=proof).value, file=proof)
    holds = verify_proof(root, held)
    if session.json:
        session.emit({"holds": holds, "id": held.id, "present": held.present})
    word = "present" if held.present else "absent"
    mark, style = ("✓ proved", "bold green") if holds else ("✗ not proved", "bold red")
    session.parts((mark, style), (f" {word}: {held.id}", ""))
    return ExitCode.FINE if holds else ExitCode.FINDINGS


def proof_from(value: JsonValue, *, file: str) -> MemoryProof:
    """Read what `proof_value` wrote.

    Raises:
        DocumentError: it is no proof.
    """
    try:
        members = cast("dict[str, Any]", value)
        way = members["way"]
        steps = (
            ()
            if way is None
            else tuple(
                Step(bit=int(step["bit"]), sibling=bytes.fromhex(step["sibling"])) for step in way["steps"]
            )
        )
        return MemoryProof(
            id=str(members["id"]),
            leaf=members["leaf"],
            way=None
            if way is None
            else Way(
                key=bytes.fromhex(way["key"]),
                value_digest=bytes.fromhex(way["value_digest"]),
                steps=steps,
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DocumentError(
            Fault(message="this is no memory proof", file=file, hint="make one with `remit memory prove`")
        ) from error
