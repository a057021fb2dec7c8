"""What a verb says: one JSON value on stdout for programs, plain or coloured text for people, logs on stderr.

Rules
1. With `--json` exactly one JSON value goes to stdout; its keys are stable.
2. Text that came from outside (a model, a document, a file name) is shown with its control characters
   escaped, so that it can neither colour nor overwrite what a person reads.
3. Colours follow rich: none without a terminal or with NO_COLOR.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from remit.errors import Fault, FaultsError

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue

PIPE_COLUMNS = 120
"""Width in characters where there is no terminal that says its own."""

_DIGEST = re.compile(r"sha256:([0-9a-f]{12})[0-9a-f]{52}")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Return `text` with control, bidirectional and surrogate characters escaped; tab and newline stay."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str, *, limit: int = 200) -> str:
    """Return `text` printable, on one line and at most `limit` characters long."""
    flat = printable(text).replace("\n", "\\n").replace("\t", "\\t")
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def compact(value: JsonValue, *, limit: int = 200) -> str:
    """Return a JSON value on one line for people, shortened."""
    return one_line(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")), limit=limit)


def short(digest: str) -> str:
    """Return the first twelve hex digits of a digest, as people compare them."""
    return digest.removeprefix("sha256:")[:12]


def shortened(text: str) -> str:
    """Return `text` with every digest in it shortened as `short` does."""
    return _DIGEST.sub(lambda found: found[1], text)


def fault_value(fault: Fault) -> JsonObject:
    """Return a fault as a JSON object with stable keys."""
    return {
        "message": fault.message,
        "file": fault.file,
        "line": fault.line,
        "column": fault.column,
        "pointer": fault.pointer,
        "hint": fault.hint,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """How this invocation speaks.

    Args:
        json: whether one JSON value is wanted instead of text.
        debug: whether tracebacks are wanted.
    """

    json: bool = False
    debug: bool = False

    def emit(self, value: JsonValue) -> None:
        """Write the one JSON value of this invocation."""
        click.echo(json.dumps(value, ensure_ascii=True, indent=2, sort_keys=False))

    @property
    def console(self) -> Console:
        """Where people's text goes."""
        stream = sys.stdout
        width = None if stream.isatty() else PIPE_COLUMNS
        return Console(file=stream, highlight=False, markup=False, emoji=False, width=width)

    def say(self, text: str = "", *, style: str = "") -> None:
        """Write one line for people; nothing with `--json`."""
        if not self.json:
            self.console.print(Text(printable(text), style=style), soft_wrap=True)

    def note(self, text: str, *, indent: int, style: str = "") -> None:
        """Write a remark, `indent` columns in; on a terminal the lines it is broken into are indented too.

        Args:
            text: the remark.
            indent: columns.
            style: a rich style.
        """
        if self.json:
            return
        console, margin = self.console, " " * indent
        whole = Text(printable(text), style=style)
        width = max(console.width - indent, 20)
        lines = whole.wrap(console, width) if sys.stdout.isatty() else (whole,)
        for line in lines:
            line.rstrip()
            console.print(Text.assemble(margin, line), soft_wrap=True)

    def parts(self, *pieces: tuple[str, str]) -> None:
        """Write one line of `(text, style)` pieces; nothing with `--json`."""
        if not self.json:
            line = Text.assemble(*((printable(text), style) for text, style in pieces))
            self.console.print(line, soft_wrap=True)

    def stream(self, text: str) -> None:
        """Write text as it arrives, without a line end; nothing with `--json`."""
        if not self.json:
            click.echo(printable(text), nl=False)

    def complain(self, text: str) -> None:
        """Write a line to stderr."""
        click.echo(printable(text), err=True)


LOG_FORMATS = ("console", "json")
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")


def start_logging(level: str) -> None:
    """Send structured logs of at least `level` to stderr; a JSON object a line with REMIT_LOG_FORMAT=json.

    Raises:
        FaultsError: REMIT_LOG_FORMAT is set to something else than what it knows.
    """
    import structlog  # takes longer to import than the rest of the command line together

    form = os.environ.get("REMIT_LOG_FORMAT", "").lower()
    if form not in ("", *LOG_FORMATS):
        known = " or ".join(f"`{name}`" for name in LOG_FORMATS)
        problem = f"`REMIT_LOG_FORMAT={printable(form)}` is no format of log lines"
        raise FaultsError(Fault(message=problem, hint=f"set {known}"))
    machine = form == "json"
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer()
            if machine
            else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
