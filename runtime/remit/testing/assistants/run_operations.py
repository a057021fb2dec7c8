"""Runs and their steps."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, cast

from remit.testing.assistants.faults import WireFault, missing
from remit.testing.assistants.feed import Feed
from remit.testing.assistants.objects import metadata, run_object
from remit.testing.assistants.operations import Raw, RunStream
from remit.testing.assistants.store import StoredRun
from remit.testing.assistants.thread_operations import (
    add_message,
    check_message,
    check_thread,
    make_thread,
    refuse_busy,
)
from remit.testing.assistants.uses import wants_content, without_content

if TYPE_CHECKING:
    from remit.document.values import JsonObject
    from remit.testing.assistants.operations import Answer, Call, World
    from remit.testing.assistants.store import StoredThread
    from remit.testing.loopback import Reply


def create_run(world: World, call: Call) -> Answer:
    """Answer `POST /threads/{thread_id}/runs`."""
    store = world.store
    thread = store.thread(call.ids["thread_id"])
    assistant = store.assistant(str(call.body["assistant_id"]))
    refuse_busy(thread, "start another run on")
    messages = cast("list[JsonObject]", call.body.get("additional_messages") or [])
    for message in messages:
        check_message(store, message)
    claimed = world.engine.claim()
    for message in messages:
        add_message(store, thread, message)
    run = _make_run(world, thread, assistant, call.body, claimed)
    return _answer(run, 0, call, claimed)


def create_thread_and_run(world: World, call: Call) -> Answer:
    """Answer `POST /threads/runs`; where it is refused there is no thread either."""
    store = world.store
    assistant = store.assistant(str(call.body["assistant_id"]))
    wanted = {**cast("JsonObject", call.body.get("thread") or {})}
    if call.body.get("tool_resources"):
        wanted["tool_resources"] = call.body["tool_resources"]
    check_thread(store, wanted)
    claimed = world.engine.claim()
    thread = make_thread(store, wanted)
    opening = copy.deepcopy(thread.value)
    run = _make_run(world, thread, assistant, call.body, claimed)
    return _answer(run, 0, call, claimed, opening=opening)


def list_runs(world: World, call: Call) -> Answer:
    """Answer `GET /threads/{thread_id}/runs`."""
    runs = world.store.thread(call.ids["thread_id"]).runs.values()
    return world.store.page([run.value for run in runs], call.query)


def retrieve_run(world: World, call: Call) -> Answer:
    """Answer `GET /threads/{thread_id}/runs/{run_id}`."""
    return _run(world, call).value


def modify_run(world: World, call: Call) -> Answer:
    """Answer `POST /threads/{thread_id}/runs/{run_id}`."""
    run = _run(world, call)
    if "metadata" in call.body:
        run.value["metadata"] = metadata(call.body)
    return run.value


def cancel_run(world: World, call: Call) -> Answer:
    """Answer `POST /threads/{thread_id}/runs/{run_id}/cancel`."""
    return world.engine.cancel(_run(world, call))


def submit_tool_outputs(world: World, call: Call) -> Answer:
    """Answer `POST /threads/{thread_id}/runs/{run_id}/submit_tool_outputs`."""
    run = _run(world, call)
    if run.status != "requires_action":
        raise WireFault(400, f"Runs in status '{run.status}' do not accept tool outputs.")
    outputs = cast("list[JsonObject]", call.body["tool_outputs"])
    named = sorted(str(output["tool_call_id"]) for output in outputs)
    pending = sorted(_pending(run))
    if named != pending:
        raise WireFault(
            400,
            f"Tool outputs must name each pending call once: expected {pending}, got {named}.",
            param="tool_outputs",
        )
    claimed = world.engine.claim()
    start = run.feed.position()
    world.engine.take_outputs(run, outputs, claimed)
    return _answer(run, start, call, claimed)


def list_steps(world: World, call: Call) -> Answer:
    """Answer `GET /threads/{thread_id}/runs/{run_id}/steps`."""
    steps = _run(world, call).steps.values()
    shown = steps if wants_content(call.query) else [without_content(step) for step in steps]
    return world.store.page(shown, call.query)


def retrieve_step(world: World, call: Call) -> Answer:
    """Answer `GET /threads/{thread_id}/runs/{run_id}/steps/{step_id}`."""
    found = _run(world, call).steps.get(call.ids["step_id"])
    if found is None:
        raise missing("run step", call.ids["step_id"])
    return found if wants_content(call.query) else without_content(found)


def _run(world: World, call: Call) -> StoredRun:
    return world.store.run(call.ids["thread_id"], call.ids["run_id"])


def _make_run(
    world: World, thread: StoredThread, assistant: JsonObject, body: JsonObject, claimed: Reply | None
) -> StoredRun:
    store = world.store
    deadline_s = store.now() + world.run_lifetime_s
    value = run_object(
        store.new_id("run_"),
        str(thread.value["id"]),
        body,
        assistant,
        at_s=store.at_s(),
        expires_at_s=int(deadline_s),
    )
    run = StoredRun(value=value, thread=thread, deadline_s=deadline_s, feed=Feed(store.changed))
    thread.runs[str(value["id"])] = run
    run.feed.say("thread.run.created", value)
    world.engine.queue(run, claimed)
    return run


def _answer(
    run: StoredRun, start: int, call: Call, claimed: Reply | None, *, opening: JsonObject | None = None
) -> Answer:
    raw_body = claimed.raw_body if claimed is not None else b""
    if call.body.get("stream"):
        return RunStream(
            feed=run.feed,
            start=start,
            opening=opening or {},
            content=wants_content(call.query),
            raw_body=raw_body,
        )
    broken = claimed is not None and claimed.broken
    if not raw_body and not broken:
        return run.value
    data = raw_body or json.dumps(run.value).encode()
    return Raw(data=data, content_type="application/json", cut=broken)


def _pending(run: StoredRun) -> list[str]:
    action = cast("JsonObject", run.value["required_action"])
    submit = cast("JsonObject", action["submit_tool_outputs"])
    return [str(call["id"]) for call in cast("list[JsonObject]", submit["tool_calls"])]
