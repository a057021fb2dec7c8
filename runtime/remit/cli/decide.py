"""`remit decide`: one question to the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from remit.cli.agents import read_target
from remit.cli.exits import ExitCode
from remit.cli.options import (
    caller_from,
    common,
    environment_from,
    example,
    json_from,
    pairs_from,
    person_options,
)
from remit.cli.output import shortened
from remit.engine.cedar import CedarEngine
from remit.project.answers import Verdict, settle
from remit.project.questions import DEFAULT_NOW, build_request, question_from

if TYPE_CHECKING:
    from remit.cli.output import Session
    from remit.document.model import Document
    from remit.document.values import JsonObject
    from remit.engine.image import PolicyImage
    from remit.project.questions import Question
    from remit.workbench.explanation import Explanation

_CODES = {
    "allow": ExitCode.FINE,
    "deny": ExitCode.DENIED,
    "awaiting_approval": ExitCode.AWAITING_APPROVAL,
}
MARKS = {"allow": ("✓", "green"), "deny": ("✗", "red"), "awaiting_approval": ("⏸", "yellow")}


@click.command(
    "decide",
    epilog=example(
        """remit decide refund-desk --as ana:clerk --action refund --input '{"amount": 900}' """.strip(),
        "remit decide desk.agent.json --action activate --as bob --attr jurisdiction=US --explain",
    ),
)
@click.argument("agent")
@click.option("--action", required=True, help="An action or a tool's name.")
@click.option("--resource", default="", help="Name of the tool, back-end or block.")
@click.option("--principal", type=click.Choice(("agent", "caller")), default=None, help="Who acts.")
@click.option("--input", "input_text", default="{}", metavar="JSON|@FILE", help="The action's input.")
@click.option("--usage", "usage", multiple=True, metavar="COUNTER=N", help="A counter of this run.")
@click.option("--lifetime", "lifetime", multiple=True, metavar="COUNTER=N", help="A counter of all runs.")
@click.option("--env", "environment", multiple=True, metavar="KEY=VALUE", help="A value of the environment.")
@click.option("--now", default=DEFAULT_NOW, show_default=True, help="The time, RFC 3339 UTC.")
@click.option("--lifecycle", default="", help="The agent's lifecycle. Default: ready or active, by action.")
@click.option(
    "--fulfilled", multiple=True, metavar="RULE", help="A rule whose obligations count as fulfilled."
)
@click.option("--explain", is_flag=True, help="Show what every rule came to, and what was missing.")
@person_options
@common
def command(
    session: Session,
    *,
    agent: str,
    action: str,
    resource: str,
    principal: str | None,
    input_text: str,
    usage: tuple[str, ...],
    lifetime: tuple[str, ...],
    environment: tuple[str, ...],
    now: str,
    lifecycle: str,
    fulfilled: tuple[str, ...],
    explain: bool,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
) -> int:
    """Ask the engine one question about AGENT; nothing is recorded and nothing happens."""
    target = read_target(agent)
    image = target.compile()
    governance = target.document.governance
    caller = caller_from(person, roles, attributes, schema=governance.caller_schema)
    question = question_from(
        {
            "action": action,
            "resource": resource,
            "principal": principal or "",
            "input": json_from(input_text, option="--input"),
            "usage": pairs_from(usage, option="--usage"),
            "lifetime": pairs_from(lifetime, option="--lifetime"),
            "environment": environment_from(environment, schema=governance.environment_schema),
            "now": now,
            "lifecycle": lifecycle,
            "fulfilled": [*fulfilled],
            "caller": {**caller.attributes, "id": caller.id, "kind": caller.kind, "roles": [*caller.roles]},
        }
    )
    request = build_request(target.document, question)
    engine = CedarEngine(image)
    verdict = settle(engine, image, request)
    explanation = _explained(target.document, question, image, engine) if explain else None
    if session.json:
        value: JsonObject = {
            "principal": str(request.principal.ref),
            "action": request.action,
            "resource": str(request.resource.ref),
            **verdict.to_json(),
        }
        if explanation is not None:
            from remit.cli.explanation import explanation_value

            value["explanation"] = explanation_value(explanation, image)
        session.emit(value)
    else:
        show_verdict(session, f"{action} → {shortened(str(request.resource.ref))}", verdict)
        if explanation is not None:
            from remit.cli.explanation import show_explanation

            show_explanation(session, explanation, image)
    return _CODES[verdict.decision]


def _explained(
    document: Document, question: Question, image: PolicyImage, engine: CedarEngine
) -> Explanation:
    from remit.workbench.askable import Askable
    from remit.workbench.explanation import explain

    askable = Askable(document, question)
    return explain(image, engine, askable.request(), askable)


def show_verdict(session: Session, what: str, verdict: Verdict) -> None:
    """Write a verdict for people."""
    mark, style = MARKS[verdict.decision]
    session.parts((f"{mark} {verdict.decision.replace('_', ' ')}", f"bold {style}"), (f"  {what}", ""))
    session.say(f"  kind     {verdict.kind.replace('_', ' ')}")
    for rule in verdict.rules:
        session.say(f"  rule     {rule}")
    for reason in verdict.because:
        session.say(f"  because  {reason}")
    for error in verdict.errors:
        session.say(f"  error    {error}", style="red")
    for role in verdict.by:
        session.say(f"  approver {role}")
