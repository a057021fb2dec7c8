"""From the permit to the first byte on the wire: each adapter against the bare package, in one run.

Run: `pytest -s benchmarks/bench_adapters.py`. Rounds are interleaved; both clients send the same content
over a connection that is open already, to one server in a process of its own. What is compared is the time
at which the first byte of the request reaches that server. Absolute times depend on the machine and its load.
"""

from __future__ import annotations

import asyncio
import json
import queue
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from remit.document.model import BackendEntry
from remit.host.backends import backend_context, open_backend
from remit.messages import Message, ToolCall, ToolOffer, Turn
from remit.permit import mint  # noqa: TID251  # the benchmark plays the gate
from remit.testing.assistants_server import AssistantsServer
from remit.testing.loopback import LoopbackServer, Reply, SaidCall
from remit.testing.object_register import KeptRegister

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ROUNDS, WARM_UP = 300, 30
DECISION = "sha256:" + "0" * 64
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "order_id": {"type": "string"},
        "amount": {"type": "number"},
        "reason": {"type": "string"},
    },
    "required": ["order_id"],
    "additionalProperties": False,
}


def turn() -> Turn:
    """Twenty messages with calls and results, five tools: about 6 kB."""
    messages: list[Message] = []
    for number in range(7):
        call = ToolCall(
            id=f"c{number}",
            name="tool0",
            arguments={"order_id": f"A-{number}"},
            raw=f'{{"order_id":"A-{number}"}}',
        )
        messages += [
            Message(role="user", text=f"How is order A-{number}? " + "It was ordered long ago. " * 5),
            Message(role="assistant", text="I look it up.", tool_calls=(call,)),
            Message(role="tool", text='{"status":"paid","paid":40}', tool_call_id=f"c{number}"),
        ]
    tools = tuple(
        ToolOffer(name=f"tool{number}", description="Does something with an order.", parameters=SCHEMA)
        for number in range(5)
    )
    return Turn(instructions="You are a refund desk. " * 20, messages=tuple(messages), tools=tools)


class Wire:
    """The server of this run, and when bytes reached it."""

    def __init__(self, folder: Path) -> None:
        answers = folder / "answers.json"
        answers.write_text(json.dumps(recorded_answers()), encoding="utf-8")
        script = Path(__file__).with_name("first_byte_server.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), str(answers)], stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._process.stdout is not None
        self.root = f"http://127.0.0.1:{self._process.stdout.readline().strip()}"
        self._arrivals: queue.Queue[tuple[int, str]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            at, _, path = line.strip().partition(" ")
            self._arrivals.put((int(at), path))

    def first(self, end: str) -> int:
        """When the next request to a path with this end arrived, in nanoseconds."""
        while True:
            at, path = self._arrivals.get(timeout=30)
            if path.partition("?")[0].endswith(end):
                return at

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def recorded_answers() -> dict[str, dict[str, str]]:
    """What the loopback servers say on each wire, recorded once and then said at once."""
    import urllib.request

    stream: dict[str, Any] = {"stream": True, "model": "m", "messages": [], "input": "x", "max_tokens": 8}
    found: dict[str, dict[str, str]] = {}
    with LoopbackServer(Reply(text="ok")) as server:
        for path in (
            "/v1/chat/completions",
            "/v1/responses",
            "/v1/messages",
            "/v1beta/models/m:streamGenerateContent?alt=sse",
        ):
            request = urllib.request.Request(
                server.root_url + path,
                data=json.dumps(stream).encode(),
                headers={"content-type": "application/json", "anthropic-version": "2023-06-01"},
            )
            with urllib.request.urlopen(request) as answer:
                found[path.partition("?")[0]] = {
                    "type": answer.headers["content-type"],
                    "body": answer.read().decode(),
                }
    call = Reply(calls=(SaidCall(name="tool0", raw='{"order_id":"A-1"}'),), finish="tool_calls")
    with AssistantsServer(call, Reply(text="ok")) as server:

        def ask(path: str, body: dict[str, Any]) -> dict[str, str]:
            request = urllib.request.Request(
                server.base_url + path,
                data=json.dumps(body).encode(),
                headers={
                    "content-type": "application/json",
                    "authorization": "Bearer k",
                    "OpenAI-Beta": "assistants=v2",
                },
            )
            with urllib.request.urlopen(request) as answer:
                return {"type": answer.headers["content-type"], "body": answer.read().decode()}

        made = ask("/assistants", {"model": "m"})
        thread = ask("/threads", {})
        numbers = json.loads(made["body"])["id"], json.loads(thread["body"])["id"]
        runs = ask(f"/threads/{numbers[1]}/runs", {"assistant_id": numbers[0], "stream": True})
        run = json.loads(next(line[6:] for line in runs["body"].splitlines() if line.startswith("data: {")))
        call_id = runs["body"].partition('"tool_calls": [{"id": "')[2].partition('"')[0]
        if not call_id:
            call_id = next(word for word in runs["body"].split('"') if word.startswith("call_"))
        outputs = {"tool_outputs": [{"tool_call_id": call_id, "output": "{}"}], "stream": True}
        done = ask(f"/threads/{numbers[1]}/runs/{run['id']}/submit_tool_outputs", outputs)
    empty = {
        "type": "application/json",
        "body": '{"object":"list","data":[],"has_more":false,"deleted":true}',
    }
    found["/submit_tool_outputs"] = done
    found["/assistants"] = made
    found["/v1/threads"] = thread
    found["/runs"] = runs
    found[""] = empty
    return found


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    made = Wire(tmp_path_factory.mktemp("wire"))
    yield made
    made.close()


def opened(adapter: str, base_url: str) -> Any:
    entry = BackendEntry(
        name="b", adapter=adapter, provider="p", region="EU", model="m", config={"base_url": base_url}
    )
    return open_backend(entry, context=backend_context(register=KeptRegister()))


def permit(asked: Turn) -> Any:
    return mint(effect="dispatch", target="b", digest=asked.digest(), decision=DECISION)


async def consume(stream: Any) -> None:
    async for _ in stream:
        pass


async def infer(backend: Any, asked: Turn, leave: Any) -> list[Any]:
    return [event async for event in backend.infer(leave, asked)]


async def measure(
    wire: Wire, end: str, bare: Callable[[], Awaitable[None]], adapter: Callable[[], Awaitable[int]]
) -> tuple[list[int], list[int]]:
    """Interleave bare calls and adapter calls; `adapter` returns when it was given its permit."""
    plain: list[int] = []
    ours: list[int] = []
    for number in range(ROUNDS + WARM_UP):
        began = time.monotonic_ns()
        await bare()
        first = wire.first(end) - began
        given = await adapter()
        second = wire.first(end) - given
        if number >= WARM_UP:
            plain.append(first)
            ours.append(second)
    return plain, ours


def report(benchmark: Any, name: str, plain: list[int], ours: list[int]) -> None:
    added = [(b - a) / 1e6 for a, b in zip(plain, ours, strict=True)]
    row = {
        "adapter": name,
        "n": len(added),
        "bare_median_ms": round(statistics.median(plain) / 1e6, 3),
        "adapter_median_ms": round(statistics.median(ours) / 1e6, 3),
        "added_median_ms": round(statistics.median(added), 3),
        "added_p95_ms": round(sorted(added)[int(len(added) * 0.95)], 3),
    }
    benchmark.extra_info.update(row)
    print(
        f"\n{name:<18} bare {row['bare_median_ms']:.3f} ms, adapter {row['adapter_median_ms']:.3f} ms, "
        f"added median {row['added_median_ms']:.3f} ms (p95 {row['added_p95_ms']:.3f}, n = {row['n']})"
    )
    benchmark.pedantic(lambda: None, rounds=1)  # the table above is the measurement


async def simple(
    wire: Wire,
    adapter: str,
    base: str,
    end: str,
    *,
    bare: Callable[[], Awaitable[None]],
    close: Callable[[], Awaitable[None]],
) -> Any:
    backend, asked = opened(adapter, base), turn()

    async def ours() -> int:
        leave = permit(asked)
        began = time.monotonic_ns()
        await infer(backend, asked, leave)
        return began

    try:
        return await measure(wire, end, bare, ours)
    finally:
        await backend.dispose()
        await close()


def test_openai_chat(wire: Wire, benchmark: Any) -> None:
    async def run() -> Any:
        import openai

        from remit_adapters.chat_wire import wire_messages, wire_tools

        client = openai.AsyncOpenAI(api_key="none", base_url=wire.root + "/v1")
        messages, tools = wire_messages(turn()), wire_tools(turn())

        async def bare() -> None:
            await consume(
                await client.chat.completions.create(
                    model="m", messages=messages, tools=tools, stream=True, temperature=0.0, max_tokens=512
                )
            )

        return await simple(
            wire, "openai-chat", wire.root + "/v1", "/chat/completions", bare=bare, close=client.close
        )

    report(benchmark, "openai-chat", *asyncio.run(run()))


def test_openai_responses(wire: Wire, benchmark: Any) -> None:
    async def run() -> Any:
        import openai

        from remit_adapters.responses_wire import function_tools, input_items

        client = openai.AsyncOpenAI(api_key="none", base_url=wire.root + "/v1")
        items, tools = input_items(turn()), function_tools(turn())

        async def bare() -> None:
            await consume(
                await client.responses.create(
                    model="m", input=items, tools=tools, store=False, stream=True, max_output_tokens=512
                )
            )

        return await simple(
            wire, "openai-responses", wire.root + "/v1", "/responses", bare=bare, close=client.close
        )

    report(benchmark, "openai-responses", *asyncio.run(run()))


def test_anthropic(wire: Wire, benchmark: Any) -> None:
    async def run() -> Any:
        import anthropic

        client = anthropic.AsyncAnthropic(api_key="none", base_url=wire.root)
        asked = turn()
        messages: list[dict[str, Any]] = []
        for message in asked.messages:
            if message.role == "tool":
                block = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.text}
                messages.append({"role": "user", "content": [block]})
            elif message.tool_calls:
                call = message.tool_calls[0]
                use = {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
                messages.append(
                    {"role": "assistant", "content": [{"type": "text", "text": message.text}, use]}
                )
            else:
                messages.append({"role": "user", "content": message.text})
        tools = [
            {"name": offer.name, "description": offer.description, "input_schema": offer.parameters}
            for offer in asked.tools
        ]

        async def bare() -> None:
            await consume(
                await client.messages.create(
                    model="m",
                    max_tokens=512,
                    system=asked.instructions,
                    messages=messages,
                    tools=tools,
                    stream=True,
                )
            )

        return await simple(wire, "anthropic", wire.root, "/v1/messages", bare=bare, close=client.close)

    report(benchmark, "anthropic", *asyncio.run(run()))


def test_google(wire: Wire, benchmark: Any) -> None:
    async def run() -> Any:
        from google import genai
        from google.genai import types

        client = genai.Client(
            api_key="none", http_options=types.HttpOptions(base_url=wire.root, api_version="v1beta")
        )
        asked = turn()
        contents: list[Any] = []
        for message in asked.messages:
            if message.role == "tool":
                part = types.Part.from_function_response(name="tool0", response={"result": message.text})
                contents.append(types.Content(role="user", parts=[part]))
            elif message.tool_calls:
                call = types.FunctionCall(name="tool0", args=message.tool_calls[0].arguments)
                parts = [types.Part(text=message.text), types.Part(function_call=call)]
                contents.append(types.Content(role="model", parts=parts))
            else:
                contents.append(types.Content(role="user", parts=[types.Part(text=message.text)]))
        config = types.GenerateContentConfig(
            system_instruction=asked.instructions,
            max_output_tokens=512,
            tools=[
                types.Tool(
                    function_declarations=[
                        types.FunctionDeclaration(
                            name=offer.name,
                            description=offer.description,
                            parameters_json_schema=offer.parameters,
                        )
                        for offer in asked.tools
                    ]
                )
            ],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )

        async def bare() -> None:
            await consume(
                await client.aio.models.generate_content_stream(model="m", contents=contents, config=config)
            )

        return await simple(
            wire, "google", wire.root, ":streamGenerateContent", bare=bare, close=client.aio.aclose
        )

    report(benchmark, "google", *asyncio.run(run()))


@pytest.mark.filterwarnings("ignore:The Assistants API is deprecated:DeprecationWarning")
def test_openai_assistants(wire: Wire, benchmark: Any) -> None:
    """A turn that goes on: the outputs of a call, as a run's second turn and every later one sends them."""

    async def run() -> Any:
        import openai

        client = openai.AsyncOpenAI(api_key="none", base_url=wire.root + "/v1")
        backend = opened("openai-assistants", wire.root + "/v1")
        asked = turn()

        async def bare() -> None:
            await consume(
                await client.beta.threads.runs.submit_tool_outputs(
                    thread_id="thread_1",
                    run_id="run_1",
                    tool_outputs=[{"tool_call_id": "c", "output": "{}"}],
                    stream=True,
                )
            )

        async def ours() -> int:
            first = await infer(backend, asked, permit(asked))
            call = next(event.call for event in first if hasattr(event, "call"))
            going = Turn(
                instructions=asked.instructions,
                messages=(
                    *asked.messages,
                    Message(role="assistant", text="", tool_calls=(call,)),
                    Message(role="tool", text="{}", tool_call_id=call.id),
                ),
                tools=asked.tools,
            )
            leave = permit(going)
            began = time.monotonic_ns()
            await infer(backend, going, leave)
            return began

        try:
            return await measure(wire, "/submit_tool_outputs", bare, ours)
        finally:
            await backend.dispose()
            await client.close()

    report(benchmark, "openai-assistants", *asyncio.run(run()))
