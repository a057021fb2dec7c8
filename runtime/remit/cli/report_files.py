"""Writing a report where the user wants it: `--html`, `--markdown`, and the exit code that goes with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from remit.cli.exits import bad_input
from remit.project.build import require_file, write_whole
from remit.workbench.report import to_html, to_markdown

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.cli.output import Session
    from remit.workbench.report import Report

    F = TypeVar("F", bound=Callable[..., object])


def report_options(function: F) -> F:
    """Add `--html` and `--markdown`."""
    function = click.option(
        "--markdown", "markdown", default=None, metavar="FILE", help="Write the report as Markdown, too."
    )(function)
    return click.option(
        "--html", "html", default=None, metavar="FILE", help="Write the report as one HTML file, too."
    )(function)


def check_report_files(*names: str | None) -> None:
    """Refuse, before any work is done, a report file that could not be written."""
    for name in names:
        if name is not None and (not name or Path(name).is_dir() or not Path(name).parent.is_dir()):
            raise bad_input(f"`{name}` cannot be a report file", "name a file in a folder that exists")
        if name is not None:
            require_file(Path(name))


def write_reports(session: Session, report: Report, *, html: str | None, markdown: str | None) -> None:
    """Write the report into the files that were asked for, and say so."""
    for name, text in ((html, to_html), (markdown, to_markdown)):
        if name is not None:
            write_whole(Path(name), text(report).encode())
            session.say(f"wrote {name}")
