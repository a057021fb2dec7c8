"""`remit cases`: cases from and for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import common, example
from remit.project.build import write_whole
from remit.workbench.suites.cedar_export import export_suite
from remit.workbench.suites.cedar_import import imported
from remit.workbench.suites.finding import read_suites
from remit.workbench.suites.plan import prepare

if TYPE_CHECKING:
    from remit.cli.output import Session


@click.group(
    "cases",
    epilog=example(
        "remit cases import tests.json --policies policies.cedar --schema app.cedarschema -o app.cases.yaml",
        "remit cases export refund-desk -o for-cedar",
    ),
)
def command() -> None:
    """Take over test cases of the Cedar command line, or write them for it."""


@command.command(
    "import",
    epilog=example("remit cases import tests.json --policies policies.cedar --schema app.cedarschema"),
)
@click.argument("file")
@click.option("--policies", multiple=True, required=True, metavar="FILE", help="What they test; repeatable.")
@click.option("--schema", default=None, metavar="FILE", help="The policies' schema.")
@click.option("-o", "--output", default=None, metavar="FILE", help="Default: beside FILE, as `.cases.yaml`.")
@common
def import_cases(
    session: Session, *, file: str, policies: tuple[str, ...], schema: str | None, output: str | None
) -> int:
    """Make a case file of FILE, a JSON file of `cedar run-tests`; every case means what it meant."""
    source = Path(file)
    target = Path(output) if output is not None else source.with_suffix("").with_suffix(".cases.yaml")
    if target.exists():
        raise bad_input(f"`{target.as_posix()}` exists", "name another file with `--output`")
    text, count, repeats = imported(
        source, policies=tuple(Path(name) for name in policies), schema=schema, beside=target.parent
    )
    write_whole(target, text.encode())
    if session.json:
        session.emit({"file": target.as_posix(), "cases": count, "repeats": repeats})
    else:
        session.say(f"wrote {count} cases to {target.as_posix()}")
        if repeats:
            session.say(f"left out {repeats} that ask and expect what another does", style="yellow")
        session.say(f"next: remit test {target.as_posix()}")
    return ExitCode.FINE


@command.command("export", epilog=example("remit cases export refund-desk -o for-cedar"))
@click.argument("paths", nargs=-1)
@click.option("-o", "--output", required=True, metavar="DIR", help="An empty or new folder.")
@common
def export_cases(session: Session, *, paths: tuple[str, ...], output: str) -> int:
    """Write the suites in PATHS for `cedar run-tests`: policies, schema and tests, a folder for each suite.

    Each exported test was decided by Cedar itself first; cases that Cedar cannot say are left out, with the
    reason.
    """
    folder = Path(output)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise bad_input(f"`{output}` exists and is not an empty folder", "name a new folder")
    written = [export_suite(item.bound, folder) for item in prepare(read_suites(paths))]
    if session.json:
        session.emit({"suites": [item.to_json() for item in written]})
        return ExitCode.FINE
    for item in written:
        session.say(f"{item.folder.as_posix()}: {item.tests} tests of {item.suite}")
        for name, reason in item.left_out:
            session.say(f"  left out: {name}: {reason}", style="yellow")
        session.say(f"  cedar run-tests {item.command}", style="dim")
    return ExitCode.FINE
