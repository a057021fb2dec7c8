"""`remit schema`: the published schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from remit.cli.agents import read_target
from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import common, example
from remit.document.schema import json_schema

if TYPE_CHECKING:
    from remit.cli.output import Session
    from remit.document.values import JsonObject


@click.command(
    "schema",
    epilog=example(
        "remit schema document > agent.schema.json",
        "remit schema cases > cases.schema.json",
        "remit schema cedar refund-desk",
    ),
)
@click.argument("what", type=click.Choice(("document", "rules", "cases", "cedar")), default="document")
@click.argument("agent", required=False)
@common
def command(session: Session, *, what: str, agent: str | None) -> int:
    """Print the JSON Schema of documents, rules or case files, or the Cedar schema of one AGENT."""
    if what == "cedar":
        if agent is None:
            raise bad_input("`schema cedar` needs an agent", "its tools and attributes make the schema")
        image = read_target(agent).compile()
        if session.json:
            session.emit(image.schema)
        else:
            click.echo(image.schema_text.rstrip("\n"))
        return ExitCode.FINE
    if what == "cases":
        from remit.workbench.suites.schema import cases_schema

        session.emit(cases_schema())
        return ExitCode.FINE
    whole = json_schema()
    session.emit(whole if what == "document" else _rule_schema(whole))
    return ExitCode.FINE


def _rule_schema(whole: JsonObject) -> JsonObject:
    definitions = cast("JsonObject", whole["$defs"])
    return {
        "$schema": whole["$schema"],
        "title": "A rule of a Remit agent",
        "$ref": "#/$defs/rule",
        "$defs": definitions,
    }
