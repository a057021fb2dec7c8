"""Instants on the command line: `--now`, and why a future one changes nothing unless it is insisted upon."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click

from remit.cli.exits import bad_input
from remit.document.faults import TIME
from remit.host.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.cli.output import Session

F = TypeVar("F", bound="Callable[..., object]")
_DATE_LENGTH = len("2026-01-01")


def now_option(function: F) -> F:
    """Add `--now` and `--unsafe-future`."""
    function = click.option(
        "--unsafe-future", is_flag=True, help="Believe a `--now` that has not come: erases ahead of time."
    )(function)
    return click.option(
        "--now", "instant", default=None, metavar="TIME", help="Judge as of then. Default: the clock's time."
    )(function)


def instant_from(text: str, *, option: str) -> str:
    """Read a time, or a date as its midnight in UTC."""
    full = f"{text}T00:00:00.000Z" if len(text) == _DATE_LENGTH else text
    if len(full) == len("2026-01-01T00:00:00Z") and full.endswith("Z"):
        full = full.removesuffix("Z") + ".000Z"
    if TIME.fullmatch(full) is None:
        raise bad_input(
            f"`{option} {text}` is no time", "write such as `2026-01-31` or `2026-01-31T12:00:00.000Z`"
        )
    return full


def judged_now(session: Session, instant: str | None, *, changes: bool, unsafe_future: bool) -> str:
    """Return the instant to judge at.

    Args:
        session: told of an instant that is believed although it has not come.
        instant: `--now`.
        changes: whether something will be erased.
        unsafe_future: `--unsafe-future`.

    Raises:
        FaultsError: it is no time, or something would be erased ahead of its time.
    """
    clock = SystemClock().now()
    if instant is None:
        return clock
    now = instant_from(instant, option="--now")
    if now > clock and changes:
        if not unsafe_future:
            raise bad_input(
                f"`--now {instant}` has not come: something would be erased ahead of its time",
                "plan with it, or insist with `--unsafe-future`",
            )
        session.complain(f"warning: `--unsafe-future` erases as if it were {now} already")
    return now
