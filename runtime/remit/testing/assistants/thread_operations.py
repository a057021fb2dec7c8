"""Assistants, threads and messages."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

from remit.testing.assistants.faults import WireFault
from remit.testing.assistants.file_operations import add_to_vector_store, make_vector_store
from remit.testing.assistants.objects import (
    assistant_object,
    deleted,
    metadata,
    posted_message,
    thread_object,
)
from remit.testing.assistants.store import StoredThread

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.testing.assistants.operations import Answer, Call, World
    from remit.testing.assistants.store import Store


def create_assistant(world: World, call: Call) -> Answer:
    """Answer `POST /assistants`."""
    store = world.store
    body: JsonObject = {**call.body, "tool_resources": _resources(store, call.body)}
    assistant = assistant_object(store.new_id("asst_"), body, at_s=store.at_s())
    store.assistants[str(assistant["id"])] = assistant
    return assistant


def list_assistants(world: World, call: Call) -> Answer:
    """Answer `GET /assistants`."""
    return world.store.page(world.store.assistants.values(), call.query)


def retrieve_assistant(world: World, call: Call) -> Answer:
    """Answer `GET /assistants/{assistant_id}`."""
    return world.store.assistant(call.ids["assistant_id"])


def modify_assistant(world: World, call: Call) -> Answer:
    """Answer `POST /assistants/{assistant_id}`."""
    assistant = world.store.assistant(call.ids["assistant_id"])
    changes = {**call.body}
    if "tool_resources" in changes:
        changes["tool_resources"] = _resources(world.store, call.body)
    if "metadata" in changes:
        changes["metadata"] = metadata(call.body)
    assistant.update(changes)
    return assistant


def delete_assistant(world: World, call: Call) -> Answer:
    """Answer `DELETE /assistants/{assistant_id}`; its runs go on with what they took from it."""
    assistant = world.store.assistant(call.ids["assistant_id"])
    del world.store.assistants[str(assistant["id"])]
    return deleted("assistant.deleted", str(assistant["id"]))


def create_thread(world: World, call: Call) -> Answer:
    """Answer `POST /threads`."""
    return make_thread(world.store, call.body).value


def make_thread(store: Store, body: JsonObject) -> StoredThread:
    """Make a thread with its first messages, or nothing at all.

    Raises:
        WireFault: 404, a file or vector store that it names does not exist.
    """
    check_thread(store, body)
    messages = cast("list[JsonObject]", body.get("messages") or [])
    resources = _resources(store, body)
    value = thread_object(store.new_id("thread_"), {**body, "tool_resources": resources}, at_s=store.at_s())
    thread = StoredThread(value=value)
    store.threads[str(value["id"])] = thread
    for message in messages:
        add_message(store, thread, message)
    return thread


def check_thread(store: Store, body: JsonObject) -> None:
    """Refuse a new thread that names a file or vector store that does not exist.

    Raises:
        WireFault: 404.
    """
    for message in cast("list[JsonObject]", body.get("messages") or []):
        check_message(store, message)
    _check_resources(store, body)


def retrieve_thread(world: World, call: Call) -> Answer:
    """Answer `GET /threads/{thread_id}`."""
    return world.store.thread(call.ids["thread_id"]).value


def modify_thread(world: World, call: Call) -> Answer:
    """Answer `POST /threads/{thread_id}`."""
    thread = world.store.thread(call.ids["thread_id"])
    if "tool_resources" in call.body:
        thread.value["tool_resources"] = _resources(world.store, call.body)
    if "metadata" in call.body:
        thread.value["metadata"] = metadata(call.body)
    return thread.value


def delete_thread(world: World, call: Call) -> Answer:
    """Answer `DELETE /threads/{thread_id}`; its runs and messages go with it, its vector store stays."""
    thread = world.store.thread(call.ids["thread_id"])
    del world.store.threads[str(thread.value["id"])]
    for run in thread.runs.values():
        world.engine.forget(run)
    return deleted("thread.deleted", str(thread.value["id"]))


def create_message(world: World, call: Call) -> Answer:
    """Answer `POST /threads/{thread_id}/messages`."""
    thread = world.store.thread(call.ids["thread_id"])
    refuse_busy(thread, "add messages to")
    check_message(world.store, call.body)
    return add_message(world.store, thread, call.body)


def list_messages(world: World, call: Call) -> Answer:
    """Answer `GET /threads/{thread_id}/messages`."""
    messages = world.store.thread(call.ids["thread_id"]).messages.values()
    run = call.query.get("run_id")
    return world.store.page([each for each in messages if run in (None, each["run_id"])], call.query)


def retrieve_message(world: World, call: Call) -> Answer:
    """Answer `GET /threads/{thread_id}/messages/{message_id}`."""
    return world.store.message(call.ids["thread_id"], call.ids["message_id"])


def modify_message(world: World, call: Call) -> Answer:
    """Answer `POST /threads/{thread_id}/messages/{message_id}`."""
    message = world.store.message(call.ids["thread_id"], call.ids["message_id"])
    if "metadata" in call.body:
        message["metadata"] = metadata(call.body)
    return message


def delete_message(world: World, call: Call) -> Answer:
    """Answer `DELETE /threads/{thread_id}/messages/{message_id}`."""
    message = world.store.message(call.ids["thread_id"], call.ids["message_id"])
    del world.store.thread(call.ids["thread_id"]).messages[str(message["id"])]
    return deleted("thread.message.deleted", str(message["id"]))


def refuse_busy(thread: StoredThread, wish: str) -> None:
    """Refuse while a run of the thread is not over.

    Raises:
        WireFault: 400.
    """
    for run in thread.runs.values():
        if run.active:
            raise WireFault(
                400,
                f"Cannot {wish} thread '{thread.value['id']}' while its run '{run.value['id']}' is active.",
            )


def check_message(store: Store, body: JsonObject) -> None:
    """Refuse a message that names a file that does not exist.

    Raises:
        WireFault: 404.
    """
    for attachment in cast("list[JsonObject]", body.get("attachments") or []):
        store.file(str(attachment["file_id"]))


def add_message(store: Store, thread: StoredThread, body: JsonObject) -> JsonObject:
    """Add a checked message; its attachments become the thread's resources.

    A file for `file_search` goes into the thread's vector store, which is made for it where there is none:
    an object that nobody asked for by name, and that outlives the thread.

    Sources: OpenAI, Assistants file search guide (message attachments).
    """
    thread_id = str(thread.value["id"])
    message = posted_message(store.new_id("msg_"), thread_id, body, at_s=store.at_s())
    thread.messages[str(message["id"])] = message
    for attachment in cast("list[JsonObject]", body.get("attachments") or []):
        for tool in cast("list[JsonObject]", attachment["tools"]):
            _attach(store, thread, str(attachment["file_id"]), str(tool["type"]))
    return message


def _attach(store: Store, thread: StoredThread, file_id: str, tool: str) -> None:
    resources = cast("JsonObject", thread.value["tool_resources"])
    if tool == "code_interpreter":
        entry = cast("JsonObject", resources.setdefault(tool, {"file_ids": []}))
        files = cast("list[JsonValue]", entry.setdefault("file_ids", []))
        if file_id not in files:
            files.append(file_id)
        return
    entry = cast("JsonObject", resources.setdefault("file_search", {"vector_store_ids": []}))
    held = cast("list[JsonValue]", entry.setdefault("vector_store_ids", []))
    if not held:
        made = make_vector_store(store, {"expires_after": {"anchor": "last_active_at", "days": 7}})
        held.append(made.value["id"])
    add_to_vector_store(store, store.vector_store(str(held[0])), {"file_id": file_id})


def _check_resources(store: Store, body: JsonObject) -> None:
    resources = cast("JsonObject", body.get("tool_resources") or {})
    interpreter = cast("JsonObject", resources.get("code_interpreter") or {})
    search = cast("JsonObject", resources.get("file_search") or {})
    wanted = cast("list[JsonObject]", search.get("vector_stores", []))
    for holder in (interpreter, *wanted):
        for file_id in cast("list[str]", holder.get("file_ids", [])):
            store.file(file_id)
    for store_id in cast("list[str]", search.get("vector_store_ids", [])):
        store.vector_store(store_id)


def _resources(store: Store, body: JsonObject) -> JsonObject:
    """Return the tool resources of a body, with the vector stores that it wants made.

    Raises:
        WireFault: 404, something that it names does not exist; then nothing was made.
    """
    _check_resources(store, body)
    resources = copy.deepcopy(cast("JsonObject", body.get("tool_resources") or {}))
    search = cast("JsonObject", resources.get("file_search") or {})
    wanted = cast("list[JsonObject]", search.pop("vector_stores", []))
    if wanted:
        search["vector_store_ids"] = [make_vector_store(store, each).value["id"] for each in wanted]
    return resources
