"""Typed Python functions as tools: schema, conversion, and what they may do to their host."""

from __future__ import annotations

import datetime as dt
import io
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Union

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from remit import DocumentError, tool
from remit.document.model import Tool
from remit.errors import AdapterError
from remit.host.tools import describe_function
from remit.permit import mint  # noqa: TID251  # the test plays the gate's part
from remit.ports import Invocation, ToolContext
from remit_adapters.python_tools import open_tools

if TYPE_CHECKING:
    from pathlib import Path

PARAMETERS = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@dataclass
class Address:
    city: str


class Person(BaseModel):
    name: str
    address: Address


class Pair(TypedDict):
    left: int


class Node(BaseModel):
    next: Node | None = None


def test_the_schema_comes_from_the_signature_and_the_words_from_the_docstring() -> None:
    @tool(effect="read", timeout_s=5)
    def refund(
        order: int,
        currency: Literal["EUR", "USD"],
        amount: Annotated[float, Field(gt=0)],
        note: str | None = None,
        copies: int = 1,
    ) -> None:
        """Refund an order
        to its customer.

        More words that the model does not need.

        Args:
            order: the order's number,
                as on the invoice
            note (str): why
        """

    described = describe_function(refund)
    assert described.description == "Refund an order to its customer."
    assert described.parameters == {
        "type": "object",
        "additionalProperties": False,
        "required": ["order", "currency", "amount"],
        "properties": {
            "order": {"type": "integer", "description": "the order's number, as on the invoice"},
            "currency": {"type": "string", "enum": ["EUR", "USD"]},
            "amount": {"type": "number", "exclusiveMinimum": 0},
            "note": {"type": "string", "description": "why"},
            "copies": {"type": "integer", "default": 1},
        },
    }
    assert tuple(described.declaration("tools:refund")[k] for k in ("effect", "timeout_s", "source")) == (
        "read",
        5,
        {"python": "tools:refund"},
    )


def test_nested_types_are_inlined_and_arguments_become_the_functions_own_types() -> None:
    def greet(person: Person, pair: Pair, when: dt.datetime, address: Address) -> None:
        """Greet."""

    described = describe_function(greet)
    assert "$ref" not in str(described.parameters)
    assert "$defs" not in described.parameters
    values = described.convert(
        {
            "person": {"name": "a", "address": {"city": "b"}},
            "pair": {"left": 1},
            "when": "2026-01-01T00:00:00Z",
            "address": {"city": "c"},
        }
    )
    assert (Person, dt.datetime, Address) == (
        type(values["person"]),
        type(values["when"]),
        type(values["address"]),
    )


@pytest.mark.parametrize(
    "arguments", [{}, {"n": "1"}, {"n": 1.5}, {"n": 1, "m": 2}, {"n": None}, {"n": True}]
)
def test_arguments_that_do_not_fit_are_refused(arguments: Any) -> None:
    def f(n: int) -> None:
        """F."""

    with pytest.raises(ValueError, match=r"n|m"):
        describe_function(f).convert(arguments)


def unannotated(n) -> None:  # noqa: ANN001  # the case itself
    """Lack an annotation."""


def variadic(*n: int) -> None:
    """Take any number."""


def positional(n: int, /) -> None:
    """Take by position."""


def recursive(node: Node) -> None:
    """Take a recursive type."""


def opaque(stream: io.StringIO) -> None:
    """Take what JSON cannot be."""


@pytest.mark.parametrize(
    ("function", "word"),
    [
        (unannotated, "`n`"),
        (variadic, "`n`"),
        (positional, "`n`"),
        (recursive, "`Node`"),
        (opaque, "JSON Schema"),
        (lambda: 1, "`<lambda>`"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused_with_what_is_wrong(function: Any, word: Any) -> None:
    with pytest.raises(DocumentError, match=word):
        describe_function(function)


def test_a_union_without_none_stays_and_optional_is_never_null() -> None:
    def f(a: Optional[int] = None, b: Union[int, str, None] = None) -> None:  # noqa: UP007, UP045
        """F."""

    properties = describe_function(f).parameters["properties"]
    assert properties["a"] == {"type": "integer"}
    assert "null" not in str(properties["b"])


def document_tool(source: Any = "tools:f", name: Any = "f", **more: Any) -> Tool:
    return Tool(
        name=name, description="F.", parameters=PARAMETERS, effect="write", source={"python": source}, **more
    )


def context(folder: Any = None, **functions: Any) -> ToolContext:
    return ToolContext(folder=folder, environment={}, functions=functions, servers={})


async def run(source: Any, name: Any = "f") -> Any:
    invocation = Invocation(tool=name, arguments={"n": 1}, key="k")
    return await source.call(
        mint(effect="call_tool", target=name, digest=invocation.digest(), decision="sha256:0"), invocation
    )


async def test_a_module_of_the_project_folder_and_its_siblings_are_found(tmp_path: Path) -> None:
    (tmp_path / "sibling_of_tools.py").write_text("FACTOR = 3\n")
    (tmp_path / "tools.py").write_text(
        "from sibling_of_tools import FACTOR\ndef f(n: int) -> int:\n    return n * FACTOR\n"
    )
    result = await run(open_tools([document_tool()], context=context(tmp_path)))
    assert (result.ok, result.value) == (True, 3)
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize(
    "source",
    [
        "tools",
        "tools:",
        ":f",
        "../tools:f",
        "tools:f:g",
        "tools:missing",
        "nowhere_at_all:f",
        "broken:f",
        "tools:x",
    ],
)
def test_a_source_that_cannot_be_found_is_named(tmp_path: Path, source: Any) -> None:
    (tmp_path / "tools.py").write_text("def f(n: int) -> int:\n    return n\nx = 3\n")
    (tmp_path / "broken.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(AdapterError, match="tool `f`"):
        open_tools([document_tool(source)], context=context(tmp_path))


async def test_what_a_tool_prints_stays_off_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    def f(n: int) -> int:
        print("noise")  # noqa: T201  # the case itself
        return n

    async def g(n: int) -> int:
        print("more noise")  # noqa: T201  # the case itself
        return n

    out = io.StringIO()
    with redirect_stdout(out):
        await run(open_tools([document_tool()], context=context(f=f)))
        await run(open_tools([document_tool(name="g")], context=context(g=g)), "g")
        print("mine")  # noqa: T201  # the case itself
    assert out.getvalue() == "mine\n"
    assert capsys.readouterr().err == "noise\nmore noise\n"


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (float("inf"), "JSON"),
        (2**60, "2^53"),
        ("\ud800", "surrogate"),
        (object(), "JSON"),
        ({"a": {1: {2}}}, ""),
        ("x" * 100_000, "65536"),
    ],
)
async def test_a_result_is_json_that_every_reader_understands_or_an_error(value: Any, word: Any) -> None:
    def f(n: int) -> object:
        return value

    result = await run(open_tools([document_tool()], context=context(f=f)))
    if word:
        assert not result.ok
        assert word in str(result.value)
        assert len(str(result.value)) < 3000
    else:
        assert result.value == {"a": {"1": [2]}}


async def test_a_deep_result_is_an_error_and_not_a_crash() -> None:
    def f(n: int) -> object:
        value: list[object] = []
        for _ in range(5000):
            value = [value]
        return value

    assert not (await run(open_tools([document_tool()], context=context(f=f)))).ok


async def test_an_exception_becomes_an_error_without_a_traceback() -> None:
    def f(n: int) -> None:
        raise SystemExit("goodbye")

    async def g(n: int) -> None:
        raise ValueError("bad")

    assert (await run(open_tools([document_tool()], context=context(f=f)))).value == {
        "error": "SystemExit: goodbye"
    }
    result = await run(open_tools([document_tool(name="g")], context=context(g=g)), "g")
    assert (result.ok, result.value) == (False, {"error": "ValueError: bad"})
