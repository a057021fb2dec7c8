"""`remit inspect`: what a document says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.table import Table

from remit.cli.agents import Target, read_target
from remit.cli.exits import ExitCode
from remit.cli.options import common, example
from remit.cli.output import Session, one_line, printable, short
from remit.document.identity import field_digests
from remit.policy.image_files import rule_value
from remit.project.packs.comparison import pack_reports, rules_of

if TYPE_CHECKING:
    from remit.document.model import Document
    from remit.document.values import JsonObject
    from remit.engine.image import PolicyImage


@click.command("inspect", epilog=example("remit inspect desk.agent.json", "remit inspect refund-desk --json"))
@click.argument("agent")
@common
def command(session: Session, *, agent: str) -> int:
    """Show the six fields of AGENT, its rules with their origin, and what waits for approval."""
    target = read_target(agent)
    image = target.compile()
    if session.json:
        session.emit(_value(target, image))
    else:
        _show(session, target.document, image)
    return ExitCode.FINE


def _value(target: Target, image: PolicyImage) -> JsonObject:
    document = target.document
    return {
        "spec": document.spec,
        "identity": {
            "agent": document.identity.agent,
            "revision": document.identity.revision,
            "fields": dict(field_digests(document)),
            "signatures": len(document.identity.signatures),
        },
        "memory": document.memory.value,
        "governance": {
            "attributes": document.governance.attributes,
            "image": image.digest,
            "packs": [
                report.to_json()
                for report in pack_reports(
                    document, image, folders=[used.use.found.folder for used in target.packs]
                )
            ],
            "rules": [rule_value(info) for info in image.rules.values()],
        },
        "capabilities": {
            "instructions_bytes": len(document.capabilities.instructions.encode()),
            "tools": [{"name": tool.name, "effect": tool.effect} for tool in document.capabilities.tools],
            "builtins": [
                {
                    "name": item.name,
                    "required": item.required,
                    "files": [
                        {"path": file.path, "sha256": file.sha256, "classification": file.classification}
                        for file in item.files
                    ],
                    "config": item.config,
                }
                for item in document.capabilities.builtins
            ],
            "backends": [
                {
                    "name": entry.name,
                    "adapter": entry.adapter,
                    "provider": entry.provider,
                    "region": entry.region,
                    "model": entry.model,
                }
                for entry in document.capabilities.backends
            ],
        },
        "execution_state": document.execution_state.value,
        "lineage": document.lineage.value,
    }


def _show(session: Session, document: Document, image: PolicyImage) -> None:
    state, governance = document.execution_state, document.governance
    _row(session, "identity", f"agent {document.identity.agent}")
    _row(session, "", f"revision {document.identity.revision}")
    _row(session, "", f"{len(document.identity.signatures)} signatures")
    blocks = ", ".join(f"{block.name} ({block.classification})" for block in document.memory.blocks)
    _row(session, "memory", f"{document.memory.value.get('count', 0)} entries; blocks: {blocks or 'none'}")
    attributes = ", ".join(f"{key}={value}" for key, value in governance.attributes.items())
    _row(session, "governance", f"{attributes}; {len(image.rules)} rules")
    for pin in governance.packs:
        named = pin.name if pin.alias == pin.name else f"{pin.name} as {pin.alias}"
        _row(
            session,
            "",
            f"pack {named} {pin.version} ({short(pin.digest)}): {len(rules_of(image, pin))} rules",
        )
    tools = ", ".join(f"{tool.name} ({tool.effect})" for tool in document.capabilities.tools)
    _row(session, "capabilities", f"tools: {tools or 'none'}")
    for item in document.capabilities.builtins:
        files = ", ".join(f"{file.path} ({file.classification})" for file in item.files)
        required = "required" if item.required else "optional"
        _row(session, "", f"built-in: {item.name} ({required}){'; files: ' + files if files else ''}")
    backends = ", ".join(
        f"{entry.name} ({entry.adapter}, {entry.provider}, {entry.region})"
        for entry in document.capabilities.backends
    )
    _row(session, "", f"back-ends: {backends}")
    usage = ", ".join(f"{key} {count}" for key, count in state.usage.items() if count)
    _row(session, "execution_state", f"{state.lifecycle}; usage: {usage or 'none'}")
    operations = document.lineage.operations
    last = f", last {operations[-1].operation}" if operations else ""
    _row(session, "lineage", f"{len(operations)} operations{last}; {len(document.lineage.parents)} parents")
    session.say()
    session.console.print(_rules_table(image))
    for pending in state.pending:
        session.say(
            f"waiting: {pending.action} ({short(pending.id)}) for a person with role {pending.by}"
            f"{f' until {pending.until}' if pending.until else ''}: "
            f"{pending.because}",
            style="yellow",
        )


def _row(session: Session, name: str, text: str) -> None:
    session.parts((f"{name:<16}", "bold"), (one_line(text, limit=2000), ""))


def _rules_table(image: PolicyImage) -> Table:
    table = Table(show_edge=False, pad_edge=False, box=None, header_style="bold")
    for heading in ("rule", "effect", "actions", "because", "origin"):
        table.add_column(heading, overflow="fold")
    for info in image.rules.values():
        actions = ", ".join(info.actions) or "any"
        cells = (info.id, info.effect, actions, info.because, info.origin or info.pointer or "base rule")
        table.add_row(*(printable(cell) for cell in cells))
    return table
