"""The vendors' own clients before a loopback server: each wire asked in the same words, heard in one shape."""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anthropic
import openai
from google import genai
from google.genai import types

from remit.testing.loopback import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from remit.testing.loopback import Reply

PARAMETERS = {
    "type": "object",
    "properties": {
        "order_id": {"type": "string", "description": "order id", "minLength": 1},
        "count": {"type": "integer", "minimum": 1, "maximum": 5},
    },
    "required": ["order_id"],
    "additionalProperties": False,
}
OPENAI_INCLUDE = [
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "code_interpreter_call.outputs",
    "file_search_call.results",
]
AZURE_VERSION = "2025-04-01-preview"


@dataclass(slots=True, kw_only=True)
class Heard:
    text: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    end: str = ""
    reasoning: str = ""
    used: list[dict[str, Any]] = field(default_factory=list)
    tokens: tuple[int, int] = (0, 0)
    carried: Any = None


async def everything(stream: Any) -> list[Any]:
    async with aclosing(stream) if hasattr(stream, "aclose") else stream as events:
        return [event async for event in events]


def openai_client(server: LoopbackServer, *, azure: bool) -> openai.AsyncOpenAI:
    if azure:
        return openai.AsyncAzureOpenAI(
            azure_endpoint=server.root_url, api_key="k", api_version=AZURE_VERSION, max_retries=0
        )
    return openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0)


async def ask_chat(server: LoopbackServer, *, stream: bool, azure: bool = False) -> Heard:
    function = {"name": "lookup_order", "description": "Look up.", "parameters": PARAMETERS}
    request: dict[str, Any] = {
        "model": "m-1",
        "messages": [
            {"role": "system", "content": "You are a desk."},
            {"role": "user", "content": "Look up A-1."},
            {
                "role": "assistant",
                "content": "Looking.",
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "lookup_order", "arguments": '{"order_id":"A-1"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": '{"paid":40}'},
        ],
        "tools": [{"type": "function", "function": function}],
        "temperature": 0,
        "seed": 1,
        "max_tokens": 64,
    }
    heard = Heard()
    async with openai_client(server, azure=azure) as client:
        if not stream:
            whole = await client.chat.completions.create(**request)
            choice = whole.choices[0]
            calls = choice.message.tool_calls or []
            return Heard(
                text=choice.message.content or "",
                calls=[(call.function.name, call.function.arguments) for call in calls],
                end=choice.finish_reason,
                tokens=(whole.usage.prompt_tokens, whole.usage.completion_tokens),
            )
        chunks = await everything(
            await client.chat.completions.create(
                stream=True, stream_options={"include_usage": True}, **request
            )
        )
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        if chunk.usage:
            heard.tokens = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        for choice in chunk.choices:
            heard.text += choice.delta.content or ""
            heard.end = choice.finish_reason or heard.end
            for call in choice.delta.tool_calls or []:
                known = calls.setdefault(call.index, ["", ""])
                known[0] += call.function.name or ""
                known[1] += call.function.arguments or ""
    heard.calls = [(name, raw) for _, (name, raw) in sorted(calls.items())]
    return heard


async def ask_azure_chat(server: LoopbackServer, *, stream: bool) -> Heard:
    return await ask_chat(server, stream=stream, azure=True)


async def ask_responses(
    server: LoopbackServer, *, stream: bool, azure: bool = False, carried: Any = ()
) -> Heard:
    tools: list[dict[str, Any]] = [
        {"type": "function", "name": "lookup_order", "description": "Look up.", "parameters": PARAMETERS}
        | {"strict": False}
    ]
    include = [] if azure else OPENAI_INCLUDE
    if not azure:
        tools += [
            {"type": "web_search"},
            {"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-1"]}},
            {"type": "file_search", "vector_store_ids": ["vs_1"]},
        ]
    request: dict[str, Any] = {
        "model": "m-1",
        "instructions": "You are a desk.",
        "input": [
            {"type": "message", "role": "user", "content": "Look up A-1."},
            *carried,
            {
                "type": "function_call",
                "call_id": "c1",
                "name": "lookup_order",
                "arguments": '{"order_id":"A-1"}',
            },
            {"type": "function_call_output", "call_id": "c1", "output": '{"paid":40}'},
        ],
        "tools": tools,
        "store": False,
        "max_output_tokens": 64,
        **({"include": include} if include else {}),
    }
    async with openai_client(server, azure=azure) as client:
        if stream:
            events = await everything(await client.responses.create(stream=True, **request))
            assert [event.sequence_number for event in events] == list(range(len(events)))
            whole = events[-1].response
            said = "".join(e.delta for e in events if e.type.endswith(("output_text.delta", "refusal.delta")))
        else:
            whole = await client.responses.create(**request)
            said = None
    parts = [part for item in whole.output if item.type == "message" for part in item.content]
    text = "".join(part.text if part.type == "output_text" else part.refusal for part in parts)
    assert said in (None, text)
    reasoning = [item for item in whole.output if item.type == "reasoning"]
    return Heard(
        text=text,
        calls=[(item.name, item.arguments) for item in whole.output if item.type == "function_call"],
        end=whole.incomplete_details.reason if whole.incomplete_details else whole.status,
        reasoning=(reasoning[0].encrypted_content or "") if reasoning else "",
        used=[
            item.model_dump(mode="json", exclude_none=True)
            for item in whole.output
            if item.type in ("web_search_call", "code_interpreter_call", "file_search_call")
        ],
        tokens=(whole.usage.input_tokens, whole.usage.output_tokens),
        carried=[item.model_dump(mode="json", exclude_none=True) for item in whole.output],
    )


async def ask_azure_responses(server: LoopbackServer, *, stream: bool) -> Heard:
    return await ask_responses(server, stream=stream, azure=True)


async def ask_messages(server: LoopbackServer, *, stream: bool, carried: Any = ()) -> Heard:
    request: dict[str, Any] = {
        "model": "m-1",
        "max_tokens": 64,
        "system": "You are a desk.",
        "messages": [
            {"role": "user", "content": "Look up A-1."},
            {
                "role": "assistant",
                "content": [
                    *carried,
                    {"type": "tool_use", "id": "t1", "name": "lookup_order", "input": {"order_id": "A-1"}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t1", "content": '{"paid":40}'}],
            },
        ],
        "tools": [
            {"name": "lookup_order", "description": "Look up.", "input_schema": PARAMETERS},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
            {"type": "code_execution_20250825", "name": "code_execution"},
        ],
        "thinking": {"type": "adaptive"},
    }
    async with anthropic.AsyncAnthropic(base_url=server.root_url, api_key="k", max_retries=0) as client:
        if not stream:
            whole = await client.messages.create(**request)
            blocks = [block.model_dump(mode="json") for block in whole.content]
            raws = [json.dumps(block.get("input"), separators=(",", ":")) for block in blocks]
            end, tokens = whole.stop_reason, (whole.usage.input_tokens, whole.usage.output_tokens)
        else:
            events = await everything(await client.messages.create(stream=True, **request))
            blocks, raws, end, tokens = [], [], "", (0, 0)
            for event in events:
                if event.type == "content_block_start":
                    blocks.append(event.content_block.model_dump(mode="json"))
                    raws.append("")
                elif event.type == "content_block_delta":
                    delta = event.delta
                    if delta.type == "input_json_delta":
                        raws[event.index] += delta.partial_json
                    else:
                        member = delta.type.removesuffix("_delta")
                        blocks[event.index][member] += getattr(delta, member)
                elif event.type == "message_delta":
                    end, tokens = (
                        event.delta.stop_reason,
                        (event.usage.input_tokens, event.usage.output_tokens),
                    )
            for block, raw in zip(blocks, raws, strict=True):
                if raw and block["type"] == "server_tool_use":
                    block["input"] = json.loads(raw)
    return Heard(
        text="".join(block["text"] for block in blocks if block["type"] == "text"),
        calls=[
            (block["name"], raw)
            for block, raw in zip(blocks, raws, strict=True)
            if block["type"] == "tool_use"
        ],
        end=end,
        reasoning="".join(block["signature"] for block in blocks if block["type"] == "thinking"),
        used=[block for block in blocks if "tool_result" in block["type"] or "server" in block["type"]],
        tokens=tokens,
        carried=[
            {name: value for name, value in block.items() if value is not None}
            for block in blocks
            if block["type"] != "tool_use"
        ],
    )


async def ask_gemini(server: LoopbackServer, *, stream: bool, carried: Any = ()) -> Heard:
    client = genai.Client(
        api_key="k", http_options=types.HttpOptions(base_url=server.root_url, api_version="v1beta")
    )
    config = types.GenerateContentConfig(
        max_output_tokens=64,
        system_instruction="You are a desk.",
        temperature=0,
        seed=1,
        tools=[
            types.Tool(
                function_declarations=[
                    types.FunctionDeclaration(
                        name="lookup_order", description="Look up.", parameters_json_schema=PARAMETERS
                    ),
                    types.FunctionDeclaration(
                        name="pack_order",
                        description="Pack.",
                        parameters=types.Schema(
                            type=types.Type.OBJECT,
                            properties={"order_id": types.Schema(type=types.Type.STRING, min_length=1)},
                            required=["order_id"],
                        ),
                    ),
                ]
            ),
            types.Tool(google_search=types.GoogleSearch()),
            types.Tool(code_execution=types.ToolCodeExecution()),
            types.Tool(file_search=types.FileSearch(file_search_store_names=["fileSearchStores/x"])),
        ],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    contents = [
        types.Content(role="user", parts=[types.Part.from_text(text="Look up A-1.")]),
        types.Content(
            role="model",
            parts=[*carried, types.Part.from_function_call(name="lookup_order", args={"order_id": "A-1"})],
        ),
        types.Content(
            role="user",
            parts=[types.Part.from_function_response(name="lookup_order", response={"paid": 40})],
        ),
    ]
    request: dict[str, Any] = {"model": "m-1", "contents": contents, "config": config}
    try:
        if stream:
            chunks = await everything(await client.aio.models.generate_content_stream(**request))
        else:
            chunks = [await client.aio.models.generate_content(**request)]
    finally:
        await client.aio.aclose()
        client.close()
    heard = Heard(carried=[])
    for chunk in chunks:
        candidate = chunk.candidates[0]
        heard.end = candidate.finish_reason.value if candidate.finish_reason else heard.end
        if candidate.grounding_metadata:
            heard.used.append(candidate.grounding_metadata.model_dump(mode="json", exclude_none=True))
        for part in candidate.content.parts:
            heard.carried.append(part)
            heard.text += part.text or ""
            heard.reasoning += (part.thought_signature or b"").decode()
            if part.function_call:
                call = part.function_call
                heard.calls.append((call.name, json.dumps(call.args, separators=(",", ":"))))
            if part.executable_code:
                heard.used.append({"code": part.executable_code.code})
            if part.code_execution_result:
                heard.used.append({"output": part.code_execution_result.output})
        usage = chunk.usage_metadata
        heard.tokens = (usage.prompt_token_count, usage.candidates_token_count)
    return heard


ASKS: dict[str, Callable[..., Awaitable[Heard]]] = {
    "chat": ask_chat,
    "azure chat": ask_azure_chat,
    "responses": ask_responses,
    "azure responses": ask_azure_responses,
    "messages": ask_messages,
    "gemini": ask_gemini,
}


async def heard_from(wire: str, *replies: Reply, stream: bool, **more: Any) -> tuple[Heard, LoopbackServer]:
    """Ask once on a wire; the server is closed when this returns, and keeps what it saw."""
    with LoopbackServer(*replies, truth=True) as server:
        heard = await ASKS[wire](server, stream=stream, **more)
    return heard, server
