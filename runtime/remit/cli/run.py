"""`remit run`: one run of an agent, watched."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from remit.cli.agents import Target, read_target
from remit.cli.exits import bad_input, code_of_status
from remit.cli.options import (
    attribute_options,
    caller_from,
    caller_hint,
    common,
    environment_from,
    example,
    person_options,
    store_option,
)
from remit.cli.telemetry import chosen_telemetry, telemetry_options
from remit.cli.timeline import Timeline
from remit.errors import PolicyError
from remit.host.engines import DEFAULT
from remit.host.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.cli.output import Session
    from remit.document.model import Document
    from remit.host.caller import Caller
    from remit.host.engines import EngineName
    from remit.host.location import Location

MAX_INPUT_BYTES = 1 << 20


@click.command(
    "run",
    epilog=example(
        'remit run refund-desk --as ana:clerk --attr jurisdiction=EU --input "refund order A-1001"',
        "remit run desk.agent.json --as ana --dry-run --json < question.txt --input -",
        'remit run refund-desk --as ana:clerk --attr jurisdiction=EU --telemetry otel --input "…"',
    ),
)
@click.argument("agent")
@click.argument("text", required=False)
@click.option(
    "--input", "input_text", default=None, metavar="TEXT|-", help="What the caller says; - reads stdin."
)
@click.option("--dry-run", is_flag=True, help="Evaluate and record aside; touch nothing.")
@click.option("--backend", default=None, metavar="NAME", help="Use only this back-end of the document.")
@click.option(
    "--engine",
    type=click.Choice(("compiled", "cedar")),
    default=DEFAULT,
    show_default=True,
    help="What decides; compiled policies are checked against cedar.",
)
@click.option(
    "--shadow",
    default=None,
    metavar="CANDIDATE",
    help="Project folder or document that is evaluated beside, recorded and never enforced.",
)
@click.option(
    "--trust", default=None, metavar="FILE", help="Trust policy: run only what is signed as it says."
)
@click.option("--env", "environment", multiple=True, metavar="KEY=VALUE", help="A value of the environment.")
@telemetry_options
@person_options
@store_option
@common
def command(
    session: Session,
    *,
    agent: str,
    text: str | None,
    input_text: str | None,
    dry_run: bool,
    backend: str | None,
    engine: EngineName,
    shadow: str | None,
    trust: str | None,
    environment: tuple[str, ...],
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Run AGENT, a document or a project folder, once on a text, and show every decision."""
    words = _words(text, input_text)
    target = read_target(agent)
    candidate = None if shadow is None else read_target(shadow)
    if candidate is not None:
        candidate.compile()
    if shadow is not None and dry_run:
        raise bad_input("`--shadow` beside `--dry-run`: nothing of a dry run is kept", "leave one out")
    governance = target.document.governance
    caller = caller_from(person, roles, attributes, schema=governance.caller_schema)
    values = environment_from(environment, schema=governance.environment_schema)
    folder = target.store(store)
    timeline = Timeline(session, known=target.document.identity.revision)
    with _opened(
        target,
        folder,
        backend=backend,
        engine=engine,
        shadow=None if candidate is None else candidate.document,
        trust=trust,
    ) as runtime:
        result = runtime.run(
            words,
            caller=caller,
            environment=values,
            on_event=timeline.show,
            dry_run=dry_run,
        )
        left = runtime.leftovers(run=result.run)
    if session.json:
        session.emit(result.to_json())
    else:
        settle = settle_options(target, folder, caller)
        timeline.finish(
            result, settle=settle, hint=caller_hint(caller, result.reason, schema=governance.caller_schema)
        )
        timeline.leftovers(left, store=folder.shown)
    return code_of_status(result.status)


def _opened(
    target: Target,
    store: Location,
    *,
    backend: str | None,
    engine: EngineName,
    shadow: Document | None,
    trust: str | None,
) -> Runtime:
    telemetry = chosen_telemetry()
    try:
        return Runtime.open(
            target.document,
            store=store,
            backend=backend,
            folder=target.folder,
            engine=engine,
            shadow=shadow,
            telemetry=telemetry.sinks,
            telemetry_content=telemetry.content,
            trust=trust,
        )
    except PolicyError:
        # Says the same at the author's own lines.
        target.compile()
        raise


def settle_options(target: Target, store: Location, caller: Caller) -> Sequence[str]:
    """Return what another invocation needs to find this run's store and tools, and to say who acts."""
    options = ["--store", store.shown]
    if store.beside != target.folder.absolute():
        options += ["--folder", target.folder.as_posix()]
    return [*options, *attribute_options(caller, schema=target.document.governance.caller_schema)]


def _words(text: str | None, option: str | None) -> str:
    if text is not None and option is not None:
        raise bad_input("the input is given twice", "use `--input` or the argument, not both")
    words = text if text is not None else option
    if words is None:
        raise bad_input("there is no input", """give it with `--input "…"`, or `--input -` for stdin""")
    if words == "-":
        data = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
        try:
            words = data.decode()
        except UnicodeDecodeError as error:
            raise bad_input(f"the input on stdin is not UTF-8: byte {error.start}") from error
    if not words.strip():
        raise bad_input("the input is empty", """say something with `--input "…"`""")
    if len(words.encode("utf-8", "surrogatepass")) > MAX_INPUT_BYTES:
        raise bad_input(f"the input has more than {MAX_INPUT_BYTES} bytes", "give less text")
    if any("\ud800" <= character <= "\udfff" for character in words):
        raise bad_input("the input is not UTF-8: it holds a lone surrogate")
    return words
