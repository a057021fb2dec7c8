"""Hostile Python tools: whatever they raise or return ends as a result, at once and without a traceback."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from remit.document.model import Tool
from remit.permit import mint  # noqa: TID251  # the test plays the gate's part
from remit.ports import Invocation, ToolContext
from remit_adapters.python_tools import open_tools

if TYPE_CHECKING:
    from remit.ports import ToolResult

PARAMETERS: Any = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


class Boom(BaseException):
    """No `Exception` at all."""


class Wordless(Exception):  # noqa: N818  # the name is what the tool's answer shows
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def answer_of(function: Any) -> ToolResult:
    described = Tool(
        name="hostile",
        description="",
        parameters=PARAMETERS,
        effect="write",
        source={"python": "m:hostile"},
        timeout_s=20.0,
    )
    source = open_tools(
        [described],
        context=ToolContext(folder=None, environment={}, functions={"hostile": function}, servers={}),
    )
    invocation = Invocation(tool="hostile", arguments={"n": 1}, key="k")
    permit = mint(effect="call_tool", target="hostile", digest=invocation.digest(), decision="sha256:d")
    return asyncio.run(source.call(permit, invocation))


RAISED = [
    Boom("b"),
    KeyboardInterrupt("k"),
    SystemExit(3),
    asyncio.CancelledError("c"),
    GeneratorExit("g"),
    Wordless(),
    StopIteration("s"),
    MemoryError("m"),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_whatever_a_tool_raises_is_its_result(error: BaseException) -> None:
    def plain(n: int) -> str:
        raise error

    async def waiting(n: int) -> str:
        raise error

    for function in (plain, waiting):
        result = answer_of(function)
        assert not result.ok
        assert type(error).__name__ in str(result.value) or "StopIteration" in str(result.value)


@pytest.mark.parametrize(
    "value", [itertools.count(), {"rows": [itertools.repeat("x")]}], ids=["bare", "nested"]
)
def test_a_result_that_never_ends_is_refused_unread(value: Any) -> None:
    def plain(n: int) -> object:
        return value

    async def waiting(n: int) -> object:
        return value

    for function in (plain, waiting):
        result = answer_of(function)
        assert not result.ok
        assert "to iterate over" in str(result.value)
