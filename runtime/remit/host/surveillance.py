"""Watching over an effect in flight: standing orders and the wall clock reach it while it runs."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from remit.ports import GlancedControl

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from remit.ports import ControlState, Stop

_T = TypeVar("_T")
POLL_S = 0.05
GRACE_S = 2.0


class Stopped(Exception):  # noqa: N818  # no error: it carries a stop out of the run's depths
    """A kill or suspend order came while something ran."""

    def __init__(self, order: str, reason: str, *, scope: str = "") -> None:
        super().__init__(reason)
        self.order = order
        self.scope = scope
        self.reason = reason


class TimeIsUp(Exception):  # noqa: N818  # no error: it carries a stop out of the run's depths
    """The run's wall time is used up."""


async def watch(
    work: Awaitable[_T], *, control: ControlState, scopes: tuple[str, ...], timeout_s: float
) -> _T:
    """Await `work`; cancel it when an order comes or time is up.

    A suspend order lets work in flight finish: its outcome is then known. A kill does not.

    Args:
        work: what runs.
        control: kill and suspend orders; one that cannot be read counts as a kill.
        scopes: whose orders concern the work.
        timeout_s: seconds left.

    Raises:
        Stopped: a kill order came.
        TimeIsUp: time is up.
    """
    task = asyncio.ensure_future(work)
    asked = control.glance if isinstance(control, GlancedControl) else control.in_force
    loop = asyncio.get_running_loop()
    deadline = loop.time() + max(0.0, timeout_s)
    try:
        while True:
            left = deadline - loop.time()
            done, _ = await asyncio.wait({task}, timeout=min(POLL_S, max(0.0, left)))
            if done:
                return task.result()
            if left <= 0:
                raise TimeIsUp
            _check(asked, scopes)
    finally:
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task}, timeout=GRACE_S)


def _check(asked: Callable[[tuple[str, ...]], Stop | None], scopes: tuple[str, ...]) -> None:
    try:
        stop = asked(scopes)
    except Exception as error:
        # Whatever it raises: a control state that cannot be read denies.
        raise Stopped("kill", f"the control state cannot be read: {error}") from error
    if stop is not None and stop.order == "kill":
        raise Stopped(
            "kill", f"`{stop.scope}` is under a kill order of `{stop.by}`: {stop.reason}", scope=stop.scope
        )
