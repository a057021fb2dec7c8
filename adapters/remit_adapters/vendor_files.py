"""Files and vector stores at a vendor of the OpenAI kind: made for a run, found again, deleted.

Rules
1. Only files that the document names by digest are uploaded, and only with that content.
2. Each object is planned in the register before it is asked for, and noted with its id before it is used.
3. Each carries its random tag: in `metadata` where the vendor keeps some, else in the file's name.
4. Gone is what the vendor says it has deleted or does not know, in its own words.
   A listing that was read to its end and lacks a tag proves that too, unless the request that makes the
   object may still be under way at the vendor: then it stays planned, and a later sweep decides.
5. No request waits longer than `timeout_s` for its whole answer, and clean-up repeats none.
6. What cannot be listed is asked for once, by a process that outlives this one where the register has a
   folder for its answer (`kept_answers`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from remit.errors import AdapterError
from remit.ports import VendorObject
from remit_adapters.kept_answers import KeptAnswers, outliving_client
from remit_adapters.openai_sdk import client_over, openai_errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import httpx2
    from openai import AsyncOpenAI, RequestOptions

    from remit.document.model import Builtin
    from remit.document.values import JsonObject, JsonValue
    from remit.ports import BackendContext
    from remit_adapters.endpoint import Endpoint
    from remit_adapters.kept_answers import Asking

TAG = "remit_tag"
MAX_FILE_BYTES = 64 << 20
_NOT_FOUND = 404
_REFUSED, _SERVER_ERROR = 400, 500
_UNCERTAIN = (408, 409)
"""Statuses that may come although the request was carried out."""
_PAGE = 100
_MAX_PAGES = 1000
_WAIT_S = 5.0
"""How long clean-up waits for a request that another process is asking."""
_POLL_S = 0.25
BETA = {"OpenAI-Beta": "assistants=v2"}
COLLECTIONS = {"assistant": "/assistants", "vector_store": "/vector_stores", "file": "/files"}
"""Where a kind of object is made, listed and deleted; threads have no listing."""


class VendorSide:
    """What one back-end of the OpenAI kind holds on the vendor's side.

    Args:
        client: the package's client.
        endpoint: for messages and time limits.
        context: gives the folder and the register.
    """

    def __init__(self, client: AsyncOpenAI, endpoint: Endpoint, context: BackendContext) -> None:
        self.client = client
        answers = context.register.answers
        self._answers = None if answers is None or not sys.executable else KeptAnswers(answers)
        self._asking: dict[str, Asking] = {}
        self._endpoint = endpoint
        self._context = context
        self._held: dict[str, VendorObject] = {}
        self._doubtful: set[str] = set()
        self._unanswered: set[str] = set()

    @property
    def held(self) -> tuple[VendorObject, ...]:
        """What was made and is not known to be gone, oldest first."""
        return tuple(self._held.values())

    async def create(self, kind: str, path: str, body: JsonObject, *, listed: bool = True) -> JsonObject:
        """Make one object that keeps `metadata`, and return the vendor's answer.

        Args:
            kind: the vendor's word for it.
            path: where it is made.
            body: the request, without `metadata`'s tag.
            listed: whether the vendor lists such objects; what it does not list is asked for once only.
        """
        thing = VendorObject(kind=kind, tag=secrets.token_hex(16))
        if not listed and self._answers is not None:
            self._asking[thing.tag] = self._answers.begin(thing.tag)
        await self._planned(thing)
        metadata = body.get("metadata")
        tagged: JsonObject = {
            **body,
            "metadata": {**(metadata if isinstance(metadata, dict) else {}), TAG: thing.tag},
        }
        options: RequestOptions = {"headers": BETA}
        if not listed:
            options["max_retries"] = 0
        return await self._made(thing, path, options, body=tagged)

    async def upload(self, path: str, sha256: str) -> str:
        """Upload a file of the project folder and return its id.

        Raises:
            AdapterError: it cannot be read, or is not what the document names.
        """
        content = await asyncio.to_thread(self._content, path, sha256)
        thing = VendorObject(kind="file", tag=secrets.token_hex(16))
        await self._planned(thing)
        name = f"remit-{thing.tag}-{Path(path).name}"
        made = await self._made(
            thing,
            "/files",
            {"headers": {"Content-Type": "multipart/form-data"}},
            body={"purpose": "assistants"},
            files=[("file", (name, content))],
        )
        return str(made["id"])

    async def vector_store(self, file_ids: Sequence[str]) -> str:
        """Make a vector store of uploaded files and wait until it is ready; return its id.

        Raises:
            AdapterError: the vendor could not take a file in, or was not ready in time.
        """
        listed: list[JsonValue] = [*file_ids]
        # Should even a sweep never come, the vendor forgets it after a day.
        body: JsonObject = {
            "file_ids": listed,
            "expires_after": {"anchor": "last_active_at", "days": 1},
        }
        made = await self.create("vector_store", "/vector_stores", body)
        until = asyncio.get_running_loop().time() + self._endpoint.timeout_s
        while True:
            counts = made.get("file_counts")
            failed = counts.get("failed") if isinstance(counts, dict) else 0
            if failed:
                raise AdapterError(f"back-end `{self._endpoint.backend}` could not index {failed} file(s)")
            if made.get("status") == "completed":
                return str(made["id"])
            if asyncio.get_running_loop().time() > until:
                raise AdapterError(
                    f"back-end `{self._endpoint.backend}` did not index the files within "
                    f"{self._endpoint.timeout_s:g} s; raise `timeout_s`",
                    retryable=True,
                )
            await asyncio.sleep(_POLL_S)
            made = await self.get(f"/vector_stores/{made['id']}")

    async def resources(self, builtins: Sequence[Builtin]) -> dict[str, JsonObject]:
        """Upload what the built-ins look into; return by built-in its `file_ids` or `vector_store_ids`."""
        made: dict[str, JsonObject] = {}
        for builtin in builtins:
            if not builtin.files:
                continue
            ids: list[JsonValue] = [await self.upload(file.path, file.sha256) for file in builtin.files]
            if builtin.name == "file_search":
                made[builtin.name] = {"vector_store_ids": [await self.vector_store([str(i) for i in ids])]}
            else:
                made[builtin.name] = {"file_ids": ids}
        return made

    async def get(self, path: str, query: dict[str, object] | None = None) -> JsonObject:
        """Return one object or page of the vendor.

        Raises:
            AdapterError: the answer is no object.
        """
        options: RequestOptions = {"headers": BETA}
        if query:
            options["params"] = query
        async with asyncio.timeout(self._endpoint.timeout_s):
            answer: object = await self.client.get(path, cast_to=object, options=options)
        return self._object(answer)

    async def post(self, path: str, body: JsonObject, *, retries: bool = True) -> JsonObject:
        """Ask the vendor to do something that makes nothing."""
        options: RequestOptions = {"headers": BETA}
        if not retries:
            options["max_retries"] = 0
        return self._json(await self._post(path, options, body=body))

    async def delete(self, thing: VendorObject, path: str) -> None:
        """Delete one object and note that it is gone; one that the vendor does not know is gone too.

        Raises:
            AdapterError: the vendor did not say that it is deleted.
        """
        options: RequestOptions = {"headers": BETA, "max_retries": 0}
        try:
            async with asyncio.timeout(self._endpoint.timeout_s):
                answer = self._object(await self.client.delete(path, cast_to=object, options=options))
        except Exception as error:
            # A 404 in the vendor's own words; that of a proxy or of a wrong address says nothing.
            known = isinstance(getattr(error, "body", None), dict)
            if getattr(error, "status_code", None) != _NOT_FOUND or not known:
                raise
        else:
            if answer.get("deleted") is not True:
                raise AdapterError(
                    f"back-end `{self._endpoint.backend}` did not say that `{thing.id}` is deleted"
                )
        await self._gone(thing)

    async def clear(self, things: Sequence[VendorObject], *, complete: bool) -> tuple[str, ...]:
        """Delete every listable object of `things`, duplicates of a repeated request included.

        Args:
            things: what was planned or made.
            complete: look each tag up in the vendor's listing even where an id is known.

        Returns:
            What failed or is in doubt, one sentence each; everything else is gone.
        """
        failures: list[str] = []
        for kind in COLLECTIONS:
            wanted = [thing for thing in things if thing.kind == kind]
            try:
                failures += await self._clear(kind, wanted, complete=complete)
            except Exception as error:  # noqa: BLE001  # the other kinds must be tried all the same
                failures.append(f"{kind}: {self._endpoint.failure(error, openai_errors())}")
        return tuple(failures)

    async def _clear(self, kind: str, wanted: Sequence[VendorObject], *, complete: bool) -> list[str]:
        unsure = [item for item in wanted if complete or not item.id or item.tag in self._doubtful]
        found = await self._tagged(kind, {item.tag for item in unsure}) if unsure else {}
        doubts: list[str] = []
        for thing in wanted:
            ids = {*found.get(thing.tag, ()), *((thing.id,) if thing.id else ())}
            for number in sorted(ids):
                await self.delete(replace(thing, id=number), f"{COLLECTIONS[kind]}/{number}")
            if not ids and (thing.recent or thing.tag in self._unanswered):
                doubts.append(
                    f"back-end `{self._endpoint.backend}`: {kind} `{thing.tag}` is not there, but its making "
                    "may still be under way at the vendor; sweep again in a few minutes"
                )
            elif not ids:
                await self._gone(thing)
        return doubts

    async def settled(self, thing: VendorObject) -> VendorObject | None:
        """Return what became of an object that cannot be listed and whose id is not known.

        Returns:
            It with its id, or as it is where that cannot be known; None where it was certainly never made,
            which is noted then.
        """
        if self._answers is None:
            return thing
        asking = self._asking.get(thing.tag)
        if asking is not None:
            await asyncio.to_thread(asking.wait, _WAIT_S)
            asking.leave()
        fate = await asyncio.to_thread(self._answers.fate, thing.tag, wait_s=_WAIT_S)
        answer = fate.answer
        if fate.never_asked or (answer is not None and _refused(answer.status, answer.failed)):
            await self._gone(thing)
            return None
        if answer is None or not answer.body:
            return replace(thing, recent=thing.recent or fate.under_way)
        try:
            number = self._object(json.loads(answer.body)).get("id")
        except (ValueError, AdapterError):
            return thing
        return replace(thing, id=number) if isinstance(number, str) else thing

    async def _gone(self, thing: VendorObject) -> None:
        self._held.pop(thing.tag, None)
        await self._context.register.gone(thing)
        self._forget(thing.tag)

    def _forget(self, tag: str) -> None:
        """Remove a kept answer: the register has what was in it."""
        asking = self._asking.pop(tag, None)
        if asking is not None:
            asking.leave()
        if self._answers is not None:
            self._answers.forget(tag)

    async def _tagged(self, kind: str, tags: set[str]) -> dict[str, list[str]]:
        """Return by tag the ids of the vendor's objects that carry it."""
        found: dict[str, list[str]] = {}
        async for item in self.listed(COLLECTIONS[kind]):
            metadata = item.get("metadata")
            tag = metadata.get(TAG) if isinstance(metadata, dict) else None
            if kind == "file":
                name = str(item.get("filename", ""))
                tag = name[6:38] if name.startswith("remit-") else None
            if isinstance(tag, str) and tag in tags:
                found.setdefault(tag, []).append(str(item.get("id")))
        return found

    async def listed(self, path: str, **query_members: str) -> AsyncIterator[JsonObject]:
        """Yield every object of a listing, page by page.

        Args:
            path: the listing.
            **query_members: further members of the query; `order` is desc unless given.
        """
        query: dict[str, object] = {"limit": _PAGE, "order": "desc", **query_members}
        seen: set[str] = set()
        while True:
            page = await self.get(path, query)
            items, more = page.get("data"), page.get("has_more", False)
            if not isinstance(items, list) or not isinstance(more, bool):
                raise self._unreadable(f"the listing `{path}`")
            last = ""
            for item in items:
                if isinstance(item, dict):
                    last = str(item.get("id", ""))
                    yield item
            if not more or not last:
                return
            if last in seen or len(seen) >= _MAX_PAGES:
                raise self._unreadable(f"the listing `{path}`, which does not end")
            seen.add(last)
            query = {**query, "after": last}

    async def _planned(self, thing: VendorObject) -> None:
        await self._context.register.planned(thing)
        self._held[thing.tag] = thing

    async def _made(
        self,
        thing: VendorObject,
        path: str,
        options: RequestOptions,
        *,
        body: JsonObject,
        files: list[tuple[str, tuple[str, bytes]]] | None = None,
    ) -> JsonObject:
        self._unanswered.add(thing.tag)
        asking = self._asking.get(thing.tag)
        try:
            if asking is None:
                response = await self._post(path, options, body=body, files=files)
            else:
                async with outliving_client(self._endpoint, asking) as http:
                    client = client_over(self.client, http)
                    response = await self._post(path, options, body=body, client=client)
        except Exception as error:
            if _never_made(error) or (asking is not None and asking.never_asked()):
                self._unanswered.discard(thing.tag)
                await self._gone(thing)
            raise
        answer = self._json(response)
        number = answer.get("id")
        if not isinstance(number, str) or not number:
            raise self._unreadable(f"`{thing.kind}` without an id")
        self._unanswered.discard(thing.tag)
        made = replace(thing, id=number)
        self._held[thing.tag] = made
        # A request that was repeated may have been carried out twice: then the tag is looked up at the end.
        if response.request.headers.get("x-stainless-retry-count", "0") != "0":
            self._doubtful.add(thing.tag)
        await self._context.register.made(made)
        self._forget(thing.tag)
        return answer

    async def _post(
        self,
        path: str,
        options: RequestOptions,
        *,
        body: JsonObject,
        files: list[tuple[str, tuple[str, bytes]]] | None = None,
        client: AsyncOpenAI | None = None,
    ) -> httpx2.Response:
        import httpx2

        async with asyncio.timeout(self._endpoint.timeout_s):
            return await (client or self.client).post(
                path, cast_to=httpx2.Response, body=body, files=files, options=options
            )

    def _json(self, response: httpx2.Response) -> JsonObject:
        try:
            return self._object(json.loads(response.content))
        except ValueError as error:
            raise self._unreadable("an answer that is not JSON") from error

    def _object(self, value: object) -> JsonObject:
        if not isinstance(value, dict):
            raise self._unreadable("an answer that is no object")
        return cast("JsonObject", value)

    def _unreadable(self, what: str) -> AdapterError:
        where = f"back-end `{self._endpoint.backend}` at `{self._endpoint.base_url}`"
        return AdapterError(f"{where} sent what is not of its wire: {what}")

    def _content(self, path: str, sha256: str) -> bytes:
        where = f"back-end `{self._endpoint.backend}`: file `{path}`"
        folder = self._context.folder
        if folder is None:
            raise AdapterError(f"{where} cannot be found: this document has no project folder")
        root = folder.resolve()
        file = (root / path).resolve()
        if not file.is_relative_to(root):
            raise AdapterError(f"{where} leads out of the project folder `{root}`")
        try:
            if file.stat().st_size > MAX_FILE_BYTES:
                raise AdapterError(f"{where} has more than {MAX_FILE_BYTES} bytes")
            content = file.read_bytes()
        except OSError as error:
            raise AdapterError(f"{where} cannot be read: {error.strerror or error}") from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise AdapterError(f"{where} is not what the document names: its SHA-256 is another; build again")
        return content


def _never_made(error: Exception) -> bool:
    """Whether an error says for certain that nothing was made: refused, or never sent."""
    status = getattr(error, "status_code", None)
    return _refused(status if isinstance(status, int) else 0, type(error.__cause__).__name__)


def _refused(status: int, failed: str) -> bool:
    if status:
        return _REFUSED <= status < _SERVER_ERROR and status not in _UNCERTAIN
    return failed in ("ConnectError", "ConnectTimeout")
