"""The published JSON Schema and the parser agree."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

import pytest
from jsonschema import Draft202012Validator

from remit.document.parse import document_from_value, document_value
from remit.document.revision import genesis
from remit.document.schema import json_schema
from remit.errors import DocumentError

if TYPE_CHECKING:
    from remit.document.model import Document

CHANGES: dict[str, tuple[str, Any]] = {
    "unknown top-level member": ("/colour", 1),
    "wrong spec": ("/spec", "remit/2"),
    "null in an extension": ("/x-team", None),
    "governance is no object": ("/governance", []),
    "empty owner": ("/governance/attributes/owner", ""),
    "rule without id": ("/governance/activation", [{"when": "true"}]),
    "rule effect": ("/governance/activation", [{"id": "a", "effect": "allow"}]),
    "rule on": ("/governance/activation", [{"id": "a", "on": ["refund"]}]),
    "cedar beside id": (
        "/governance/activation",
        [{"id": "a", "cedar": "permit(principal, action, resource);"}],
    ),
    "rule needs on": ("/governance/rules", [{"id": "z", "effect": "permit"}]),
    "empty obligation": ("/governance/activation", [{"id": "a", "obligations": [{}]}]),
    "empty redaction": ("/governance/activation", [{"id": "a", "obligations": [{"redact": {}}]}]),
    "time limit that is none": (
        "/governance/activation",
        [{"id": "a", "obligations": [{"approve": {"by": "officer", "within": "soon"}}]}],
    ),
    "time limit of nothing": (
        "/governance/activation",
        [{"id": "a", "obligations": [{"approve": {"by": "officer", "within": "0h0m"}}]}],
    ),
    "time limit in numbers": (
        "/governance/activation",
        [{"id": "a", "obligations": [{"approve": {"by": "officer", "within": 2}}]}],
    ),
    "approval until no time": (
        "/execution_state/pending",
        [
            {
                "id": "a",
                "run": "r",
                "action": "refund",
                "rules": ["x"],
                "by": "officer",
                "request": "sha256:" + "0" * 64,
                "until": "tomorrow",
            }
        ],
    ),
    "limit": ("/governance/limits", {"max_turns": 0}),
    "reserved tool": ("/capabilities/tools/0/name", "dispatch"),
    "tool effect": ("/capabilities/tools/0/effect", "wrote"),
    "tool source": ("/capabilities/tools/0/source", {}),
    "two tool sources": ("/capabilities/tools/0/source", {"python": "tools:refund", "embedder": True}),
    "embedder that is not true": ("/capabilities/tools/0/source", {"embedder": False}),
    "embedder by name": ("/capabilities/tools/0/source", {"embedder": "refund"}),
    "tool schema": ("/capabilities/tools/0/parameters", {"type": "array"}),
    "timeout": ("/capabilities/tools/0/timeout_s", 0),
    "back-end region": ("/capabilities/backends/0/region", 7),
    "lifecycle": ("/execution_state/lifecycle", "asleep"),
    "usage": ("/execution_state/usage/turns", -1),
    "boolean counter": ("/execution_state/usage/turns", True),
    "block name": ("/memory/blocks/0/name", "a b"),
    "retention": ("/memory/blocks/0/retention_days", 0),
    "entry extension": ("/memory/entries/0/x-a", 1),
    "entry time": ("/memory/entries/0/at", "2026-01-02"),
    "digest": ("/memory/root", "sha256:AB"),
    "operation": ("/lineage/operations/1/operation", "create"),
    "no operations": ("/lineage/operations", []),
    "signature": ("/identity/signatures", [{}]),
}


def changed(value: Any, pointer: str, new: Any) -> Any:
    root = copy.deepcopy(value)
    node = root
    tokens = pointer.split("/")[1:]
    for token in tokens[:-1]:
        node = node[int(token) if isinstance(node, list) else token]
    node[int(tokens[-1]) if isinstance(node, list) else tokens[-1]] = new
    return root


def test_a_built_document_satisfies_the_schema(signed: Document) -> None:
    errors = list(
        Draft202012Validator(cast("Any", json_schema())).iter_errors(cast("Any", document_value(signed)))
    )
    assert [error.message for error in errors] == []


@pytest.mark.parametrize("case", CHANGES)
def test_what_the_schema_refuses_the_parser_refuses(case: str, signed: Document) -> None:
    value = changed(document_value(signed), *CHANGES[case])
    assert not Draft202012Validator(cast("Any", json_schema())).is_valid(value)
    with pytest.raises(DocumentError) as caught:
        document_from_value(value)
    assert any(
        fault.pointer and "content does not match" not in fault.message for fault in caught.value.faults
    )


@pytest.mark.parametrize(
    "source",
    [
        {"python": "tools:refund"},
        {"mcp": {"command": ["server"]}, "tool": "pay"},
        {"mcp": {"url": "https://tools.example/mcp"}},
        {"embedder": True},
    ],
)
def test_every_kind_of_tool_source_satisfies_schema_and_parser(source: Any, signed: Document) -> None:
    value = changed(document_value(signed), "/capabilities/tools/0/source", source)
    errors = list(Draft202012Validator(cast("Any", json_schema())).iter_errors(value))
    assert [error.message for error in errors] == []
    fields = {name: value[name] for name in ("governance", "capabilities", "memory", "execution_state")}
    assert genesis(fields, nonce="0" * 32).capabilities.tools[0].source == source
