"""Files and vector stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from remit.testing.assistants.faults import WireFault, missing
from remit.testing.assistants.objects import (
    deleted,
    file_object,
    metadata,
    set_expiry,
    vector_store_file_object,
    vector_store_object,
)
from remit.testing.assistants.operations import Raw
from remit.testing.assistants.store import StoredFile, StoredVectorStore

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.testing.assistants.operations import Answer, Call, World
    from remit.testing.assistants.store import Store

_MAX_FILES = 10_000


def create_file(world: World, call: Call) -> Answer:
    """Answer `POST /files`."""
    form = call.form
    assert form is not None
    store = world.store
    value = file_object(
        store.new_id("file-"),
        call.body,
        filename=form.filename,
        size=len(form.content),
        at_s=store.at_s(),
    )
    store.files[str(value["id"])] = StoredFile(value=value, content=form.content)
    return value


def list_files(world: World, call: Call) -> Answer:
    """Answer `GET /files`."""
    purpose = call.query.get("purpose")
    values = [file.value for file in world.store.files.values() if purpose in (None, file.value["purpose"])]
    return world.store.page(values, call.query, most=_MAX_FILES, default=_MAX_FILES)


def retrieve_file(world: World, call: Call) -> Answer:
    """Answer `GET /files/{file_id}`."""
    return world.store.file(call.ids["file_id"]).value


def read_file(world: World, call: Call) -> Answer:
    """Answer `GET /files/{file_id}/content`."""
    content = world.store.file(call.ids["file_id"]).content
    return Raw(data=content, content_type="application/octet-stream")


def delete_file(world: World, call: Call) -> Answer:
    """Answer `DELETE /files/{file_id}`; it leaves every vector store and every interpreter too."""
    store = world.store
    file_id = str(store.file(call.ids["file_id"]).value["id"])
    del store.files[file_id]
    for vector_store in store.vector_stores.values():
        if vector_store.files.pop(file_id, None) is not None:
            _count(vector_store)
    for holder in (*store.assistants.values(), *(thread.value for thread in store.threads.values())):
        interpreter = cast("JsonObject", holder["tool_resources"]).get("code_interpreter")
        if isinstance(interpreter, dict):
            kept = cast("list[JsonValue]", interpreter.get("file_ids", []))
            interpreter["file_ids"] = [each for each in kept if each != file_id]
    return deleted("file", file_id)


def create_vector_store(world: World, call: Call) -> Answer:
    """Answer `POST /vector_stores`."""
    return make_vector_store(world.store, call.body).value


def make_vector_store(store: Store, body: JsonObject) -> StoredVectorStore:
    """Make a vector store with its files, or nothing at all.

    Raises:
        WireFault: 404, a file does not exist.
    """
    file_ids = cast("list[str]", body.get("file_ids", []))
    for file_id in file_ids:
        store.file(file_id)
    made = StoredVectorStore(value=vector_store_object(store.new_id("vs_"), body, at_s=store.at_s()))
    store.vector_stores[str(made.value["id"])] = made
    for file_id in file_ids:
        add_to_vector_store(store, made, {**body, "file_id": file_id})
    return made


def list_vector_stores(world: World, call: Call) -> Answer:
    """Answer `GET /vector_stores`."""
    return world.store.page([each.value for each in world.store.vector_stores.values()], call.query)


def retrieve_vector_store(world: World, call: Call) -> Answer:
    """Answer `GET /vector_stores/{vector_store_id}`."""
    return world.store.vector_store(call.ids["vector_store_id"]).value


def modify_vector_store(world: World, call: Call) -> Answer:
    """Answer `POST /vector_stores/{vector_store_id}`."""
    value = world.store.vector_store(call.ids["vector_store_id"]).value
    if call.body.get("name") is not None:
        value["name"] = call.body["name"]
    if "metadata" in call.body:
        value["metadata"] = metadata(call.body)
    set_expiry(value, call.body, at_s=world.store.at_s())
    return value


def delete_vector_store(world: World, call: Call) -> Answer:
    """Answer `DELETE /vector_stores/{vector_store_id}`; its files stay."""
    value = world.store.vector_store(call.ids["vector_store_id"]).value
    del world.store.vector_stores[str(value["id"])]
    return deleted("vector_store.deleted", str(value["id"]))


def create_vector_store_file(world: World, call: Call) -> Answer:
    """Answer `POST /vector_stores/{vector_store_id}/files`."""
    vector_store = world.store.vector_store(call.ids["vector_store_id"])
    return add_to_vector_store(world.store, vector_store, call.body)


def add_to_vector_store(store: Store, vector_store: StoredVectorStore, body: JsonObject) -> JsonObject:
    """Add a file, which is indexed at once; adding it again gives what is there.

    Raises:
        WireFault: 404, the file does not exist.
    """
    file = store.file(str(body["file_id"])).value
    made = vector_store_file_object(file, str(vector_store.value["id"]), body, at_s=store.at_s())
    value = vector_store.files.setdefault(str(file["id"]), made)
    _count(vector_store)
    return value


def list_vector_store_files(world: World, call: Call) -> Answer:
    """Answer `GET /vector_stores/{vector_store_id}/files`."""
    files = world.store.vector_store(call.ids["vector_store_id"]).files.values()
    status = call.query.get("filter")
    if status not in (None, "in_progress", "completed", "failed", "cancelled"):
        raise WireFault(400, f"Invalid `filter`: '{status}'.", param="filter")
    return world.store.page([each for each in files if status in (None, each["status"])], call.query)


def retrieve_vector_store_file(world: World, call: Call) -> Answer:
    """Answer `GET /vector_stores/{vector_store_id}/files/{file_id}`."""
    return _member(world, call)


def delete_vector_store_file(world: World, call: Call) -> Answer:
    """Answer `DELETE /vector_stores/{vector_store_id}/files/{file_id}`; the file itself stays."""
    file_id = str(_member(world, call)["id"])
    vector_store = world.store.vector_store(call.ids["vector_store_id"])
    del vector_store.files[file_id]
    _count(vector_store)
    return deleted("vector_store.file.deleted", file_id)


def _member(world: World, call: Call) -> JsonObject:
    found = world.store.vector_store(call.ids["vector_store_id"]).files.get(call.ids["file_id"])
    if found is None:
        raise missing("file in this vector store", call.ids["file_id"])
    return found


def _count(vector_store: StoredVectorStore) -> None:
    files = vector_store.files.values()
    total = len(vector_store.files)
    vector_store.value["usage_bytes"] = sum(cast("int", each["usage_bytes"]) for each in files)
    vector_store.value["file_counts"] = {
        "in_progress": 0,
        "completed": total,
        "failed": 0,
        "cancelled": 0,
        "total": total,
    }
