"""`remit backends`: what answers for an agent, and whether it matters which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from remit.cli import backends_compare, backends_sweep
from remit.cli.agents import read_target
from remit.cli.exits import ExitCode
from remit.cli.options import common, example
from remit.cli.output import Session, one_line
from remit.document.model import BackendEntry
from remit.errors import AdapterError
from remit.host.backends import known_adapters, offered_builtins
from remit.testing.conformance import find_contract, run_contract

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.testing.conformance import Outcome

_MARKS = {"kept": ("✓", "green"), "broken": ("✗", "red"), "exempt": ("·", "dim")}


@click.group(
    "backends",
    epilog=example(
        "remit backends list",
        'remit backends compare refund-desk --input "…" --transcript said.yaml',
        "remit backends sweep --store refund-desk/.remit",
        "remit backends conform my_package.contract:TestMyBackend",
    ),
)
def command() -> None:
    """List adapters, compare decision traces across back-ends, and clean up at vendors."""


@command.command("list", epilog=example("remit backends list", "remit backends list refund-desk --json"))
@click.argument("agent", default="")
@common
def list_backends(session: Session, *, agent: str) -> int:
    """List the installed adapters, or the back-ends of AGENT in order of preference."""
    rows = _declared(agent) if agent else [{"adapter": name, **_offered(name)} for name in known_adapters()]
    if session.json:
        listed: list[JsonValue] = [*rows]
        session.emit(listed)
        return ExitCode.FINE
    for row in rows:
        head = str(row.get("name", row["adapter"]))
        rest = [str(row[key]) for key in ("adapter", "model", "region") if key in row and agent]
        builtins = row.get("builtins")
        if isinstance(builtins, list) and builtins:
            rest.append("built-ins: " + ", ".join(str(item) for item in builtins))
        if row.get("problem"):
            rest.append(str(row["problem"]))
        session.parts((f"{head:<20}", "bold"), (" ".join(rest) if agent else "; ".join(rest), ""))
    return ExitCode.FINE


def _declared(agent: str) -> list[JsonObject]:
    return [
        {"name": entry.name, "adapter": entry.adapter, "region": entry.region, "model": entry.model}
        for entry in read_target(agent).document.capabilities.backends
    ]


def _offered(adapter: str) -> JsonObject:
    entry = BackendEntry(name=adapter, adapter=adapter, provider="", region="", model="", config={})
    try:
        return {"builtins": [*sorted(offered_builtins(entry))], "problem": ""}
    except AdapterError as error:
        return {"builtins": [], "problem": str(error)}


@command.command("conform", epilog=example("remit backends conform my_package.contract:TestMyBackend"))
@click.argument("contract", metavar="MODULE:CLASS")
@common
def conform(session: Session, *, contract: str) -> int:
    """Run the back-end contract that MODULE:CLASS stages for an adapter, without a test runner.

    CLASS is a subclass of `remit.testing.backend_contract.BackendContract`.
    Exit code 1 where a promise is broken.
    """
    outcomes = run_contract(find_contract(contract), told=lambda outcome: _told(session, outcome))
    counts = {name: sum(item.verdict == name for item in outcomes) for name in _MARKS}
    if session.json:
        session.emit(
            {
                **counts,
                "promises": [
                    {"promise": item.promise, "verdict": item.verdict, "detail": item.detail}
                    for item in outcomes
                ],
            }
        )
    else:
        session.say()
        session.say(f"{counts['kept']} kept, {counts['broken']} broken, {counts['exempt']} exempt")
    return ExitCode.FINDINGS if counts["broken"] or not counts["kept"] else ExitCode.FINE


def _told(session: Session, outcome: Outcome) -> None:
    mark, style = _MARKS[outcome.verdict]
    session.parts((f"{mark} ", style), (outcome.promise, ""))
    if outcome.detail:
        session.note(one_line(outcome.detail, limit=400), indent=4, style="dim" if style == "dim" else "red")


command.add_command(backends_compare.command)
command.add_command(backends_sweep.command)
