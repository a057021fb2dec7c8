"""Running a granted tool call under watch, and recording what became of it before anything else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from remit.errors import AdapterError, PermitError
from remit.gate.obligations import REDACTED, mask, mask_error
from remit.host.surveillance import Stopped, TimeIsUp, watch
from remit.ports import Invocation

if TYPE_CHECKING:
    from remit.document.model import Tool
    from remit.document.values import JsonValue
    from remit.gate.answers import Granted
    from remit.host.dry_run import DryTools
    from remit.host.session import Session
    from remit.host.tool_sources import ToolSources


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """What became of a call.

    Args:
        outcome: as recorded; `unknown` where its source failed while it ran.
        value: what the tool answered, masked; the text of the failure where the outcome is `unknown`.
    """

    outcome: Literal["ok", "failed", "unknown"]
    value: JsonValue


async def call_granted(
    session: Session, tool: Tool, granted: Granted, sources: ToolSources | DryTools, *, timeout_s: float
) -> Called:
    """Run the call; its outcome is durable when this returns or raises.

    Args:
        session: on whose behalf.
        tool: as declared.
        granted: the gate's answer, with a permit for an invocation of the tool.
        sources: open; they carry the call.
        timeout_s: seconds left.

    Raises:
        Stopped: an order came while it ran; recorded as unknown.
        TimeIsUp: likewise, time is up.
        asyncio.CancelledError: likewise, somebody cancelled it.
        PermitError: nothing ran; recorded as failed.
        LedgerError: the outcome cannot be recorded.
    """
    assert granted.permit is not None  # the gate gives one for every effect
    assert isinstance(granted.content, Invocation)  # it was asked about one
    gate = session.gate()
    try:
        result = await watch(
            sources.call(granted.permit, granted.content),
            control=session.agent.store.control,
            scopes=(*session.scopes(), f"tool:{tool.name}"),
            timeout_s=timeout_s,
        )
    except (Stopped, TimeIsUp, asyncio.CancelledError) as stop:
        detail = f"interrupted while it ran: {_kind(stop)}"
        await asyncio.shield(gate.aoutcome(granted, "unknown", detail=detail))
        raise
    except PermitError as error:
        await gate.aoutcome(granted, "failed", detail=f"nothing ran: {error}")
        raise
    except Exception as error:  # noqa: BLE001  # a foreign tool source may raise anything: it ran, who knows how far
        foreseen = isinstance(error, (AdapterError, OSError))
        said = str(error) if foreseen else f"tool `{tool.name}`: its source raised {type(error).__name__}"
        said = REDACTED if granted.redact_result else said
        await gate.aoutcome(granted, "unknown", detail=said)
        return Called(outcome="unknown", value=said)
    hide = mask if result.ok else mask_error
    shown = hide(result.value, granted.redact_result)
    outcome: Literal["ok", "failed"] = "ok" if result.ok else "failed"
    await gate.aoutcome(granted, outcome, result=shown)
    return Called(outcome=outcome, value=shown)


def _kind(stop: BaseException) -> str:
    if isinstance(stop, Stopped):
        return f"{stop.order} order"
    return "limit `max_wall_time_s`" if isinstance(stop, TimeIsUp) else "cancelled"
