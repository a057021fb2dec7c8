"""`remit compile`: governance → Cedar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.agents import read_target
from remit.cli.compile_stats import engine_stats
from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import common, example, store_option
from remit.cli.progress import stages
from remit.policy.image_files import image_files, rule_value
from remit.project.build import write_whole

if TYPE_CHECKING:
    from remit.cli.compile_stats import EngineStats
    from remit.cli.output import Session
    from remit.document.values import JsonObject
    from remit.engine.image import PolicyImage


@click.command(
    "compile", epilog=example("remit compile refund-desk", "remit compile desk.agent.json -o out --stats")
)
@click.argument("agent")
@click.option("-o", "--output", default=None, metavar="DIR", help="Write the four files of the image there.")
@click.option(
    "--stats", is_flag=True, help="Count rules by effect and action, and say which engine decides and why."
)
@store_option
@common
def command(session: Session, *, agent: str, output: str | None, stats: bool, store: str | None) -> int:
    """Compile an agent's governance and show where every policy comes from."""
    target = read_target(agent)
    engine: EngineStats | None = None
    with stages() as stage:
        image = target.compile(progress=stage("rules"))
        if stats:
            engine = engine_stats(image, store=target.store(store), progress=stage("probes"))
    written = [] if output is None else _write(image, Path(output))
    if session.json:
        value: JsonObject = {
            "image": image.digest,
            "rules": [rule_value(info) for info in image.rules.values()],
            "files": [*written],
        }
        if engine is not None:
            value["stats"] = {**_stats(image), "actions": {**engine.actions}, "engine": engine.to_json()}
        session.emit(value)
        return ExitCode.FINE
    session.say(f"image {image.digest}", style="bold")
    for info in image.rules.values():
        session.parts(
            (f"  {info.effect:<7}", "green" if info.effect == "permit" else "red"),
            (info.id, "bold"),
            (f"  {info.origin or info.pointer or 'base rule'}", "dim"),
        )
    if engine is not None:
        for key, count in _stats(image).items():
            session.say(f"  {key}: {count}")
        engine.show(session)
    for name in written:
        session.say(f"wrote {name}")
    return ExitCode.FINE


def _stats(image: PolicyImage) -> JsonObject:
    rules = list(image.rules.values())
    return {
        "rules": len(rules),
        "permits": sum(info.effect == "permit" for info in rules),
        "forbids": sum(info.effect == "forbid" for info in rules),
        "base_rules": sum(not info.pointer for info in rules),
        "with_obligations": sum(bool(info.obligations) for info in rules),
        "policy_bytes": len(image.policies.encode()),
    }


def _write(image: PolicyImage, folder: Path) -> list[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise bad_input(f"`{folder.as_posix()}` cannot be made: {error.strerror or error}") from error
    files = image_files(image)
    for name, text in files.items():
        write_whole(folder / name, text.encode())
    return [(folder / name).as_posix() for name in files]
