"""Tools of the embedder: the document says what they take, the embedder's program supplies what runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from remit import Caller, Runtime
from remit.document.revision import genesis
from remit.errors import AdapterError, DocumentError
from remit.host.tool_sources import open_sources, supplied_functions, tool_context

if TYPE_CHECKING:
    from pathlib import Path

    from remit.document.model import Document

ANN = Caller(id="ann")
PARAMETERS = {
    "type": "object",
    "properties": {"order": {"type": "integer"}, "note": {"type": "string"}},
    "required": ["order"],
    "additionalProperties": False,
}


def tool(name: str, **source: object) -> dict[str, Any]:
    return {
        "name": name,
        "description": "Refund an order.",
        "parameters": PARAMETERS,
        "effect": "write",
        "source": source or {"embedder": True},
        "rules": [{"id": f"use-{name}"}],
    }


def agent(*tools: dict[str, Any], call: str = "refund", **arguments: object) -> Document:
    script = [{"call": {"name": call, "arguments": arguments or {"order": 7}}}, {"say": "done"}]
    return genesis(
        {
            "governance": {
                "attributes": {"jurisdiction": "EU", "risk_tier": "low", "owner": "tests"},
                "activation": [{"id": "start"}],
                "mutation": [],
                "termination": [],
            },
            "capabilities": {
                "instructions": "",
                "tools": list(tools),
                "dispatch": [{"id": "think"}],
                "backends": [
                    {
                        "name": "script",
                        "adapter": "scripted",
                        "provider": "local",
                        "region": "EU",
                        "model": "transcript",
                        "config": {"script": script},
                    }
                ],
            },
            "memory": {"blocks": []},
            "execution_state": {"lifecycle": "ready", "usage": {}, "pending": []},
        },
        nonce="0" * 32,
    )


def test_the_embedder_s_typed_function_runs_under_the_tool_s_name(tmp_path: Path) -> None:
    seen: list[int] = []

    def refund(order: int, note: str = "") -> dict[str, int]:
        """Refund an order."""
        seen.append(order)
        return {"refunded": order}

    with Runtime.open(agent(tool("refund")), store=tmp_path / "store", tools=[refund]) as runtime:
        assert runtime.run("go", caller=ANN).status == "completed"
    assert seen == [7]


def test_a_plain_callable_gets_the_arguments_by_name_as_the_document_declares_them() -> None:
    def refund(order, note="none"):  # noqa: ANN001, ANN202  # plain on purpose
        return {"order": order, "note": note}

    document = agent(tool("refund"))
    functions = supplied_functions(document, [refund])
    sources = open_sources(document, context=tool_context(folder=None, functions=functions, servers={}))
    offered = asyncio.run(sources.describe())
    assert [(item.name, item.parameters) for item in offered] == [("refund", PARAMETERS)]


def test_a_plain_callable_runs_when_its_call_is_permitted(tmp_path: Path) -> None:
    seen: list[object] = []

    def refund(**arguments):  # noqa: ANN003, ANN202  # plain on purpose
        seen.append(arguments)
        return "ok"

    with Runtime.open(agent(tool("refund")), store=tmp_path / "store", tools=[refund]) as runtime:
        assert runtime.run("go", caller=ANN).status == "completed"
    assert seen == [{"order": 7}]


def test_a_plain_callable_that_cannot_take_what_is_declared_is_refused_before_it_runs() -> None:
    def refund(order):  # noqa: ANN001, ANN202  # plain on purpose
        return order

    document = agent(tool("refund"))
    functions = supplied_functions(document, [refund])
    context = tool_context(folder=None, functions=functions, servers={})
    with pytest.raises(
        AdapterError, match="tool `refund`: the function does not take what the document declares"
    ):
        open_sources(document, context=context)


def test_tools_that_the_embedder_does_not_supply_are_one_refusal_that_names_them_and_says_how() -> None:
    document = agent(tool("refund"), tool("escalate"), tool("find", mcp={"url": "http://127.0.0.1:9"}))
    context = tool_context(folder=None, functions={}, servers={})
    with pytest.raises(AdapterError) as caught:
        open_sources(document, context=context)
    assert str(caught.value) == (
        "tools `refund`, `escalate`: the embedder supplies no function of that name; pass one with "
        "`Runtime.open(…, tools=[function])`, or give the tool a source of its own"
    )


def test_a_run_without_the_embedder_s_function_fails_and_says_why(tmp_path: Path) -> None:
    with Runtime.open(agent(tool("refund")), store=tmp_path / "store") as runtime:
        outcome = runtime.run("go", caller=ANN)
    assert outcome.status == "failed"
    assert "the embedder supplies no function of that name" in repr(outcome)


def test_a_plain_callable_will_not_do_for_a_tool_with_a_source_of_its_own() -> None:
    def refund(order):  # noqa: ANN001, ANN202  # plain on purpose
        return order

    with pytest.raises(DocumentError, match="without a type annotation"):
        supplied_functions(agent(tool("refund", python="tools:refund")), [refund])
