"""A real model behind the real protocol."""

from __future__ import annotations

import os

import pytest
from assistants_world import DEPRECATED
from openai import OpenAI

from remit.host.models import catalogue, models_folder
from remit.testing.assistants_server import AssistantsServer, TurnRequest
from remit.testing.backend_contract import LOOKUP
from remit_adapters.llama_assistants import llama_model_turn
from remit_adapters.llama_model import loaded_models

WEIGHTS = catalogue()[0].sha256
PATH = models_folder(os.environ) / f"{WEIGHTS}.gguf"
TOOL = {
    "type": "function",
    "function": {
        "name": LOOKUP.name,
        "description": LOOKUP.description,
        "parameters": LOOKUP.parameters,
    },
}
pytestmark = [
    DEPRECATED,
    pytest.mark.model,
    pytest.mark.skipif(
        not PATH.is_file(), reason="the embedded model's weights are not in the cache: remit models pull"
    ),
]


def test_the_embedded_model_calls_a_tool_and_answers_with_what_it_was_told() -> None:
    before = loaded_models()
    with (
        llama_model_turn(PATH, sha256=WEIGHTS, context_tokens=2048) as turn,
        AssistantsServer(model=turn, truth=True) as server,
        OpenAI(base_url=server.base_url, api_key="any", max_retries=0) as client,
    ):
        made = client.beta.assistants.create(
            model="local",
            instructions="You are the refund desk of a web shop. You look up orders and refund them.",
            tools=[TOOL],
            temperature=0,
        )
        thread = client.beta.threads.create(
            messages=[{"role": "user", "content": "What is the status of order A-1002?"}]
        )
        run = client.beta.threads.runs.create_and_poll(
            thread_id=thread.id, assistant_id=made.id, max_completion_tokens=256
        )
        (call,) = run.required_action.submit_tool_outputs.tool_calls
        assert (call.function.name, call.function.arguments) == ("lookup_order", '{"order_id":"A-1002"}')
        answer = {"tool_call_id": call.id, "output": '{"order_id": "A-1002", "status": "delivered"}'}
        with client.beta.threads.runs.submit_tool_outputs_stream(
            run_id=run.id, thread_id=thread.id, tool_outputs=[answer]
        ) as stream:
            words = "".join(stream.text_deltas)
            ended = stream.get_final_run()
        assert (ended.status, "delivered" in words) == ("completed", True)
        assert ended.usage.prompt_tokens > 0
        assert ended.usage.completion_tokens > 0
        assert server.violations == ()
    assert loaded_models() == before


def test_a_model_without_tools_says_words_and_stops_when_nobody_wants_them() -> None:
    stopped = [False]

    def request(most: int | None) -> TurnRequest:
        return TurnRequest(
            model="local",
            instructions="Be brief.",
            messages=({"role": "user", "content": "Tell me a long story."},),
            tools=(),
            max_output_tokens=most,
            temperature=0.0,
            stopped=lambda: stopped[0],
        )

    with llama_model_turn(PATH, sha256=WEIGHTS, context_tokens=2048, max_output_tokens=8) as turn:
        short, long = turn(request(4)), turn(request(None))
        assert (short.finish, short.output_tokens) == ("length", 4)
        assert (long.finish, long.output_tokens) == ("length", 8)
        assert long.text.startswith(short.text)
        stopped[0] = True
        assert turn(request(None)).text == ""
