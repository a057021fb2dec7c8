"""`remit packs`: governance packs: list, show, make, check, pin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import common, example
from remit.cli.output import one_line, short
from remit.cli.packs_trust import sign, verify
from remit.cli.verify import trust_from
from remit.document.faults import PACK_NAME, SHAPES
from remit.host.clock import SystemClock
from remit.project.build import AGENT_FILE, write_whole
from remit.project.packs.lock import LOCK_FILE, LockEntry, lock_bytes, read_lock
from remit.project.packs.signatures import verify_pack
from remit.project.packs.skeleton import make_pack
from remit.project.packs.sources import named_pack, shipped_names, shipped_pack
from remit.project.packs.use import PackUse, read_uses
from remit.project.source import FaultList, read_yaml

if TYPE_CHECKING:
    from remit.cli.output import Session
    from remit.document.values import JsonObject
    from remit.policy.packs.pack import Pack, PackRule, Requirements
    from remit.policy.packs.parameters import Parameter
    from remit.project.packs.folder import PackFolder
    from remit.workbench.pack_trial import PackTrial

_TRUST = "A public key whose signature every pack must carry; repeatable."


@click.group(
    "packs",
    epilog=example("remit packs list", "remit packs show data-residency", "remit packs update refund-desk"),
)
def command() -> None:
    """List, show, make, check, pin, sign and verify governance packs."""


@command.command("list", epilog=example("remit packs list", "remit packs list --json"))
@common
def list_packs(session: Session) -> int:
    """List the packs that come with Remit."""
    packs = [shipped_pack(name).pack for name in shipped_names()]
    if session.json:
        session.emit(
            [
                {
                    "name": pack.name,
                    "version": pack.version,
                    "title": pack.title,
                    "digest": pack.digest,
                    "rules": len(pack.rules),
                }
                for pack in packs
            ]
        )
        return ExitCode.FINE
    for pack in packs:
        session.parts((f"{pack.name} {pack.version}", "bold"), (f"  {pack.title}", ""))
    session.say(f"{len(packs)} packs", style="bold")
    return ExitCode.FINE


@command.command(
    "show", epilog=example("remit packs show data-residency", "remit packs show ../our-pack --json")
)
@click.argument("pack")
@common
def show(session: Session, *, pack: str) -> int:
    """Show a PACK, by name or folder: parameters, what it requires, its rules and the clauses they serve."""
    found = named_pack(pack)
    if session.json:
        session.emit(_pack_value(found))
        return ExitCode.FINE
    held = found.pack
    session.say(f"{held.name} {held.version}", style="bold")
    session.say(f"  {held.title}")
    session.say(f"  digest {held.digest}", style="dim")
    session.say("parameters", style="bold")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for item in held.parameters:
        table.add_row(f"  {item.name}", str(item.type), _default(item), item.description)
    if not session.json:
        session.console.print(table)
    for line in _requirements(held.requirements):
        session.say(f"requires {line}")
    session.say("rules", style="bold")
    for rule in held.rules:
        _show_rule(session, rule)
    session.say("clauses", style="bold")
    for control in held.controls:
        session.say(f"  {control.id}: {control.clause}: {control.asks} [{control.mark}]")
    return ExitCode.FINE


def _default(item: Parameter) -> str:
    if item.required:
        return "required"
    return "optional" if item.default is None else f"default {json.dumps(item.default, ensure_ascii=False)}"


def _show_rule(session: Session, rule: PackRule) -> None:
    value = rule.value
    condition = [f"given {name}" for name in rule.given] + [f"without {name}" for name in rule.not_given]
    tail = f"  ({', '.join(condition)})" if condition else ""
    session.parts(
        (f"  {value['effect']} ", "red" if value["effect"] == "forbid" else "green"),
        (rule.id, "bold"),
        (tail, "dim"),
    )
    for key in ("on", "when", "unless"):
        if key in value:
            held = value[key]
            text = (
                held
                if isinstance(held, str)
                else ", ".join(str(item) for item in held)
                if isinstance(held, list)
                else ""
            )
            session.say(f"    {key} {one_line(text, limit=400)}")
    session.say(f"    because {value['because']}")


def _requirements(needs: Requirements) -> list[str]:
    lines = [
        f"{what} `{name}` ({kind})"
        for what, members in (
            ("attribute", needs.attributes),
            ("caller attribute", needs.caller),
            ("environment value", needs.environment),
        )
        for name, kind in members.items()
    ]
    for tool in needs.tools:
        arguments = ", ".join(f"{name} ({kind})" for name, kind in tool.arguments)
        lines.append(f"tools {', '.join(tool.names)}" + (f" with {arguments}" if arguments else ""))
    return lines + [f"memory block {name}" for name in needs.blocks]


def _pack_value(found: PackFolder) -> JsonObject:
    pack = found.pack
    return {
        "name": pack.name,
        "version": pack.version,
        "title": pack.title,
        "description": pack.description,
        "digest": pack.digest,
        "evidence": found.evidence(),
        "folder": found.label,
        "parameters": [
            {
                "name": item.name,
                "type": str(item.type),
                "required": item.required,
                "default": item.default,
                "schema": item.schema,
            }
            for item in pack.parameters
        ],
        "requires": [*_requirements(pack.requirements)],
        "controls": [
            {"id": item.id, "clause": item.clause, "asks": item.asks, "mark": item.mark}
            for item in pack.controls
        ],
        "rules": [_rule_value(rule) for rule in pack.rules],
    }


def _rule_value(rule: PackRule) -> JsonObject:
    return {
        **rule.value,
        "place": rule.place,
        "given": [*rule.given],
        "not_given": [*rule.not_given],
        "parameters": [*rule.parameters()],
    }


@command.command("new", epilog=example("remit packs new our-pack"))
@click.argument("folder")
@click.option("--name", default="", help="The pack's name. Default: the folder's.")
@common
def new(session: Session, *, folder: str, name: str) -> int:
    """Make a pack in FOLDER that checks: one rule, a fixture, cases on both sides, a page."""
    chosen = name or Path(folder).resolve().name
    if PACK_NAME.fullmatch(chosen) is None:
        raise bad_input(f"`{chosen}` is not {SHAPES[PACK_NAME]}", "name the pack with `--name`")
    files = make_pack(Path(folder), name=chosen)
    if session.json:
        session.emit({"name": chosen, "folder": Path(folder).as_posix(), "files": [*files]})
    session.say(f"made the pack `{chosen}`: {', '.join(files)}")
    return ExitCode.FINE


@command.command(
    "check", epilog=example("remit packs check our-pack", "remit packs check data-residency --json")
)
@click.argument("pack")
@common
def check(session: Session, *, pack: str) -> int:
    """Read a PACK strictly, compile it at the edges of its parameters, and decide its fixtures' cases."""
    from remit.workbench.pack_trial import try_pack

    found = named_pack(pack)
    trial = try_pack(found)
    if session.json:
        session.emit(_trial_value(found.pack, trial))
    else:
        _show_trial(session, found.pack, trial)
    return ExitCode.FINE if trial.passed else ExitCode.FINDINGS


def _trial_value(pack: Pack, trial: PackTrial) -> JsonObject:
    return {
        "name": pack.name,
        "version": pack.version,
        "digest": pack.digest,
        "passed": trial.passed,
        "fixtures": [
            {
                "name": item.name,
                "decided": [*sorted(item.decided)],
                "passed_by": [*sorted(item.passed_by)],
                "cases": [result.to_json() for result in item.results],
            }
            for item in trial.fixtures
        ],
        "edges": [edge.to_json() for edge in trial.edges],
        "findings": [finding.to_json() for finding in trial.findings],
    }


def _show_trial(session: Session, pack: Pack, trial: PackTrial) -> None:
    for item in trial.fixtures:
        failed = [result for result in item.results if not result.passed]
        mark, style = ("✗", "red") if failed else ("✓", "green")
        passed = f"{len(item.results) - len(failed)} of {len(item.results)} cases hold"
        session.parts((f"{mark} ", style), (f"{item.name}: {passed}", ""))
        for result in failed:
            for problem in result.problems:
                place = result.case.place
                session.say(f"    {place.file}:{place.line}: {result.case.name}: {problem}", style="red")
    compiled = sum(not edge.problem for edge in trial.edges)
    session.say(f"  {compiled} of {len(trial.edges)} edges of parameters compile")
    for finding in trial.findings:
        style = "red" if finding.level == "problem" else "yellow"
        where = f"{finding.origin}: " if finding.origin else ""
        session.parts((f"{finding.level}: ", style), (f"{where}{finding.message}", ""))
    decided = {rule for item in trial.fixtures for rule in item.decided}
    session.say(
        f"{pack.name} {pack.version}: {len(pack.rules)} rules, {len(decided)} decide in a case",
        style="bold",
    )


@command.command(
    "update",
    epilog=example("remit packs update refund-desk", "remit packs update desk --trust legal.pub.pem"),
)
@click.argument("folder")
@click.option("--trust", "trusted", multiple=True, metavar="[NAME=]KEY.pem", help=_TRUST)
@common
def update(session: Session, *, folder: str, trusted: tuple[str, ...]) -> int:
    """Pin the packs of the project FOLDER as they are now: write `packs.lock.yaml` anew."""
    root = Path(folder)
    if not (root / AGENT_FILE).is_file():
        raise bad_input(f"`{folder}` holds no `{AGENT_FILE}`", "name a project folder")
    faults = FaultList()
    uses = read_uses(read_yaml(root, AGENT_FILE), folder=root, faults=faults)
    held = read_lock(root, faults=faults)
    faults.settle()
    if trusted:
        trust = trust_from(trusted)
        for use in uses:
            verify_pack(use.found, trust, now=SystemClock().now())
    entries = _entries(uses)
    if entries or held:
        write_whole(root / LOCK_FILE, lock_bytes(entries))
    before = {(item.name, item.path): item for item in held}
    changes = [(entry, _change(before.get((entry.name, entry.path)), entry)) for entry in entries]
    if session.json:
        session.emit(
            {
                "file": (root / LOCK_FILE).as_posix(),
                "packs": [{**entry.to_json(), "change": change} for entry, change in changes],
            }
        )
        return ExitCode.FINE
    for entry, change in changes:
        session.say(f"{change} {entry.name} {entry.version} ({short(entry.digest)})")
    session.say(f"{len(entries)} packs pinned in {(root / LOCK_FILE).as_posix()}", style="bold")
    return ExitCode.FINE


def _entries(uses: tuple[PackUse, ...]) -> tuple[LockEntry, ...]:
    return tuple(dict.fromkeys(use.entry() for use in uses))


def _change(before: LockEntry | None, now: LockEntry) -> str:
    if before is None:
        return "pinned"
    if before == now:
        return "unchanged"
    return "changed" if before.digest != now.digest else "changed page or cases of"


command.add_command(sign)
command.add_command(verify)
