"""Who measures a verb: `--telemetry`, else `REMIT_TELEMETRY`, and the log where its level asks for it.

The log that was asked for by name is heard: where no `--log-level` is given, it is `info` then.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click
from click.core import ParameterSource

from remit.cli.output import start_logging

if TYPE_CHECKING:
    from collections.abc import Callable

    F = TypeVar("F", bound=Callable[..., object])

LOG_LEVEL = "remit.log_level"
"""Under this name the context of an invocation keeps its log level."""

_CHOSEN = "remit.telemetry"
_CONTENT = "remit.telemetry_content"
_TRUE = frozenset(("1", "on", "true", "yes"))
_TALKATIVE = frozenset(("debug", "info"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What was asked for.

    Args:
        sinks: names of the entry-point group `remit.telemetry`.
        content: whether they are told what may be personal, too.
    """

    sinks: tuple[str, ...]
    content: bool


def telemetry_options(function: F) -> F:
    """Add `--telemetry` and `--telemetry-content`; `chosen_telemetry` says what they are."""
    function = click.option(
        "--telemetry-content",
        is_flag=True,
        expose_value=False,
        callback=_keep(_CONTENT),
        help="Tell them callers, arguments, results and reasons, too. Default: $REMIT_TELEMETRY_CONTENT.",
    )(function)
    return click.option(
        "--telemetry",
        multiple=True,
        metavar="NAME",
        expose_value=False,
        callback=_keep(_CHOSEN),
        help="Tell `log` or `otel` what happens; repeatable. Default: $REMIT_TELEMETRY.",
    )(function)


def _keep(name: str) -> Callable[[click.Context, click.Parameter, object], object]:
    def keep(context: click.Context, _: click.Parameter, value: object) -> object:
        context.meta[name] = value
        return value

    return keep


def chosen_telemetry() -> Chosen:
    """Return who measures this invocation."""
    context = click.get_current_context()
    meta = context.meta
    names: tuple[str, ...] = meta.get(_CHOSEN) or tuple(
        name.strip() for name in os.environ.get("REMIT_TELEMETRY", "").split(",") if name.strip()
    )
    if meta.get(LOG_LEVEL) in _TALKATIVE:
        names = (*names, "log")
    elif "log" in names and context.get_parameter_source("log_level") is ParameterSource.DEFAULT:
        start_logging("info")
    content = bool(meta.get(_CONTENT)) or os.environ.get("REMIT_TELEMETRY_CONTENT", "").lower() in _TRUE
    return Chosen(sinks=tuple(dict.fromkeys(names)), content=content)
