"""The published contract of the port `ToolSource`: every source of tools passes every case.

    @pytest.mark.parametrize("case", tool_contract.CASES, ids=lambda case: case.__name__)
    async def test_it_keeps_the_contract(case): await case(subject)

Rules
1. A source acts only under a permit that was minted for exactly this invocation; otherwise `PermitError`, and
   nothing ran.
2. A permit is good for one call, whatever became of it.
3. `describe` names every tool under its name in the document, and runs none.
4. `close` is idempotent, and nothing runs afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from remit.errors import AdapterError, PermitError
from remit.permit import mint  # noqa: TID251  # the contract plays the gate's part
from remit.ports import Invocation, ToolResult

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.permit import Permit
    from remit.ports import ToolSource

DECISION = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A source under test.

    Args:
        open: opens a fresh source.
        tool: name of a tool that counts its runs.
        other: name of another tool of the same source.
        arguments: acceptable arguments for both.
        changed: other acceptable arguments.
        runs: how often either tool ran so far, over all sources.
        result: what `tool` returns for `arguments`.
    """

    open: Callable[[], ToolSource]
    tool: str
    other: str
    arguments: JsonObject
    changed: JsonObject
    runs: Callable[[], int]
    result: JsonValue


def _invocation(subject: Subject) -> Invocation:
    return Invocation(tool=subject.tool, arguments=subject.arguments, key="contract")


def _permit(invocation: Invocation, *, lifetime_s: float = 300.0) -> Permit:
    return mint(
        effect="call_tool",
        target=invocation.tool,
        digest=invocation.digest(),
        decision=DECISION,
        lifetime_s=lifetime_s,
    )


async def _refused(subject: Subject, source: ToolSource, permit: object, invocation: Invocation) -> None:
    before = subject.runs()
    try:
        await source.call(permit, invocation)  # type: ignore[arg-type]  # what is no permit is the point
    except PermitError:
        assert before == subject.runs(), "a call without a valid permit ran"
        return
    raise AssertionError("a call without a valid permit was not refused")


async def a_permitted_call_runs_once_and_returns_its_result(subject: Subject) -> None:
    """Check that a valid permit makes exactly one run."""
    source = subject.open()
    try:
        before = subject.runs()
        invocation = _invocation(subject)
        result = await source.call(_permit(invocation), invocation)
        assert ToolResult(ok=True, value=subject.result) == result
        assert before + 1 == subject.runs()
    finally:
        await source.close()


async def a_call_without_a_permit_is_refused(subject: Subject) -> None:
    """Check things that are no permit."""
    source = subject.open()
    try:
        invocation = _invocation(subject)
        for nothing in (None, True, "permit", {"id": "x"}, object()):
            await _refused(subject, source, nothing, invocation)
    finally:
        await source.close()


async def a_used_permit_is_refused(subject: Subject) -> None:
    """Check that a permit is good for one call, and a copy of it is the same permit."""
    source = subject.open()
    try:
        invocation = _invocation(subject)
        permit = _permit(invocation)
        await source.call(permit, invocation)
        await _refused(subject, source, permit, invocation)
        await _refused(subject, source, replace(permit), invocation)
    finally:
        await source.close()


async def a_permit_for_other_content_is_refused_and_consumed(subject: Subject) -> None:
    """Check other arguments, another key, and that a refused permit is void."""
    source = subject.open()
    try:
        invocation = _invocation(subject)
        for other in (replace(invocation, arguments=subject.changed), replace(invocation, key="other")):
            permit = _permit(other)
            await _refused(subject, source, permit, invocation)
            await _refused(subject, source, permit, other)
    finally:
        await source.close()


async def a_permit_for_another_target_or_effect_is_refused(subject: Subject) -> None:
    """Check a permit for the other tool, and one for an inference call."""
    source = subject.open()
    try:
        invocation = _invocation(subject)
        other = replace(invocation, tool=subject.other)
        await _refused(subject, source, _permit(other), invocation)
        digest = invocation.digest()
        dispatch = mint(effect="dispatch", target=invocation.tool, digest=digest, decision=DECISION)
        await _refused(subject, source, dispatch, invocation)
        crossed = mint(effect="call_tool", target=subject.other, digest=digest, decision=DECISION)
        await _refused(subject, source, crossed, invocation)
    finally:
        await source.close()


async def an_expired_permit_is_refused(subject: Subject) -> None:
    """Check a permit whose time is over."""
    source = subject.open()
    try:
        invocation = _invocation(subject)
        permit = _permit(invocation, lifetime_s=1e-6)
        await asyncio.sleep(0.01)
        await _refused(subject, source, permit, invocation)
    finally:
        await source.close()


async def a_forged_permit_is_refused(subject: Subject) -> None:
    """Check a permit whose members were changed after sealing."""
    source = subject.open()
    try:
        invocation = _invocation(subject)
        other = replace(invocation, arguments=subject.changed)
        forged = replace(_permit(other), digest=invocation.digest())
        await _refused(subject, source, forged, invocation)
        await _refused(subject, source, replace(_permit(invocation), id="00"), invocation)
    finally:
        await source.close()


async def describing_names_the_tools_and_runs_none(subject: Subject) -> None:
    """Check `describe`."""
    source = subject.open()
    try:
        before = subject.runs()
        names = {description.name for description in await source.describe()}
        assert {subject.tool, subject.other} <= names
        assert before == subject.runs()
    finally:
        await source.close()


async def nothing_runs_after_closing(subject: Subject) -> None:
    """Check that `close` can be repeated and is final."""
    source = subject.open()
    invocation = _invocation(subject)
    await source.call(_permit(invocation), invocation)
    await source.close()
    await source.close()
    before = subject.runs()
    try:
        await source.call(_permit(invocation), invocation)
    except (AdapterError, PermitError):
        assert before == subject.runs()
        return
    raise AssertionError("a closed source accepted a call")


Case = Callable[[Subject], Awaitable[None]]
CASES: tuple[Case, ...] = (
    a_permitted_call_runs_once_and_returns_its_result,
    a_call_without_a_permit_is_refused,
    a_used_permit_is_refused,
    a_permit_for_other_content_is_refused_and_consumed,
    a_permit_for_another_target_or_effect_is_refused,
    an_expired_permit_is_refused,
    a_forged_permit_is_refused,
    describing_names_the_tools_and_runs_none,
    nothing_runs_after_closing,
)
