"""An image is swapped while others decide: nothing is lost and nothing is mixed.

Every decision's record names a revision and an image that belong together and were in force while it was
taken, and says what that image alone says.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from host_support import ANN, agent, notes_block, runtime

from remit import Caller
from remit.engine.cedar import CedarEngine
from remit.engine.request import Entity, EntityRef, Request
from remit.host.clock import SystemClock
from remit.policy.compile import compile_governance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from remit.document.model import Document

LEGAL = Caller(id="lea", roles=("legal",), attributes={"jurisdiction": "EU"})
SWAPS = 10
THREADS = 6
ASKS = 25


def governed(version: int) -> dict[str, Any]:
    """Return rules under which notes may be read in even versions alone; each version is an image of its own."""
    amend = {
        "id": "legal-amends",
        "on": ["amend"],
        "effect": "permit",
        "when": 'principal is Remit::Caller && principal.roles.contains("legal")',
        "because": "legal writes the rules",
    }
    closed = {
        "id": f"closed-{version}",
        "on": ["recall"],
        "effect": "forbid",
        "when": "true" if version % 2 else "context.usage.turns < 0",
        "because": f"version {version}",
    }
    return {"rules": [amend, closed]}


def first() -> Document:
    return agent(rules=governed(0)["rules"], blocks=[notes_block()])


def amended(opened: Any, version: int) -> str:
    """Put a version of the rules in force and return its revision."""
    governance = {**opened.document.governance.value, **governed(version)}
    answer = opened.amend(by=LEGAL, reason=f"version {version}", governance=governance)
    assert answer.allowed, answer
    return str(answer.revision)


def records(store: Any, kind: str, action: str = "") -> list[Any]:
    return [
        record
        for record in store.records()
        if record.value["kind"] == kind and (not action or record.value["body"].get("action") == action)
    ]


def history(store: Any, genesis: str) -> list[tuple[int, str]]:
    """Return at which record each revision came in force, oldest first."""
    moves = [(record.index, record.value["body"]["child"]) for record in records(store, "revision")]
    return [(-1, genesis), *moves]


def check(store: Any, genesis: str, images: dict[str, str], asked: list[tuple[int, int, Any]]) -> None:
    """Hold every answer against the ledger.

    Args:
        store: the store.
        genesis: the first revision.
        images: image by revision.
        asked: for every question: records before it, records after its answer, and the answer.
    """
    decisions = {record.digest: record for record in records(store, "decision", "recall")}
    assert len(decisions) == len(asked), "as many records as answers"
    moves = history(store, genesis)
    seen = set()
    for before, _, answer in asked:
        record = decisions.pop(answer.record)
        body = record.value["body"]
        revision = body["revision"]
        assert body["image"] == images[revision], "revision and image belong together"
        began = next(index for index, known in moves if known == revision)
        ended = next((index for index, _ in moves if index > began), None)
        assert began < record.index
        assert ended is None or ended >= before, "it was still in force when the question was asked"
        version = (
            next(rule for rule in body["rules"] if rule.startswith("closed")) if not answer.allowed else ""
        )
        seen.add(version)
        assert answer.allowed == (body["verdict"] == "allow")
    assert not decisions, "no record without an answer"
    assert len(seen) > 2, "several versions were met"


def answers_of_the_image_itself(store: Any, documents: dict[str, Document], images: dict[str, str]) -> None:
    """Ask the reference engine again under the image that each record names."""
    by_image = {images[revision]: document for revision, document in documents.items()}
    engines: dict[str, CedarEngine] = {}
    for record in records(store, "decision", "recall"):
        body = record.value["body"]
        if body["image"] not in engines:
            engines[body["image"]] = CedarEngine(compile_governance(by_image[body["image"]]))
        content = record.content
        principal, resource = (text.removeprefix("Remit::").rstrip('"').split('::"') for text in
                               (body["principal"], body["resource"]))  # fmt: skip
        caller = content["context"]["caller"]
        request = Request(
            principal=Entity(
                ref=EntityRef(type=principal[0], id=principal[1]), attributes=content["principal"]
            ),
            action="recall",
            resource=Entity(ref=EntityRef(type=resource[0], id=resource[1]), attributes=content["resource"]),
            context=content["context"],
            entities=(
                Entity(ref=EntityRef(type=caller["type"], id=caller["id"]), attributes=content["principal"]),
            ),
        )
        decision = engines[body["image"]].decide(request)
        assert (decision.verdict, decision.kind) == (body["verdict"], body["kind"])
        assert [*decision.reasons] == body["reasons"]


@pytest.fixture(autouse=True)
def often() -> Iterator[None]:
    """Let threads take turns often, so that what can come between two steps does."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.parametrize("engine", ["compiled", "cedar"])
def test_threads_decide_while_the_image_is_swapped(tmp_path: Path, engine: Any) -> None:
    made = first()
    opened = runtime(made, tmp_path, engine=engine)
    assert opened.remember("notes", "a note", by=ANN).allowed
    store: Any = opened.store
    documents = {opened.document.identity.revision: opened.document, made.identity.revision: made}
    asked: list[tuple[int, int, Any]] = []
    failures: list[BaseException] = []
    lock = threading.Lock()
    over = threading.Event()

    def ask() -> None:
        try:
            count = 0
            while count < ASKS or not over.is_set():
                before = store.size()
                answer = opened.recall("notes", by=ANN)
                with lock:
                    asked.append((before, store.size(), answer))
                count += 1
        except BaseException as error:  # looked at below
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        for version in range(1, SWAPS + 1):
            amended(opened, version)
            head = opened.document
            documents[head.identity.revision] = head
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=120)
    assert not failures, failures[0]
    images = {revision: compile_governance(document).digest for revision, document in documents.items()}
    check(store, made.identity.revision, images, asked)
    answers_of_the_image_itself(store, documents, images)
    assert store.verify().intact
    store.close()


async def test_tasks_decide_while_another_runtime_swaps_the_image(tmp_path: Path) -> None:
    made = first()
    opened = runtime(made, tmp_path)
    other = runtime(made, tmp_path)
    store: Any = opened.store
    assert await asyncio.to_thread(opened.remember, "notes", "a note", by=ANN)
    head = await asyncio.to_thread(lambda: opened.document)
    documents = {head.identity.revision: head, made.identity.revision: made}
    asked: list[tuple[int, int, Any]] = []
    over = asyncio.Event()

    async def ask() -> None:
        from remit.host.memory_access import MemoryAccess

        count = 0
        while count < ASKS or not over.is_set():
            before = store.size()
            answer = await MemoryAccess(opened._agent, ANN).recall("notes", subject="")
            asked.append((before, store.size(), answer))
            count += 1
            await asyncio.sleep(0)

    async def swap() -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            for version in range(1, SWAPS + 1):
                await loop.run_in_executor(pool, amended, other, version)
                head = await loop.run_in_executor(pool, lambda: other.document)
                documents[head.identity.revision] = head
        over.set()

    await asyncio.gather(swap(), *(ask() for _ in range(THREADS)))
    images = {revision: compile_governance(document).digest for revision, document in documents.items()}
    check(store, made.identity.revision, images, asked)
    answers_of_the_image_itself(store, documents, images)
    assert store.verify().intact
    other.store.close()
    store.close()


class SwappingClock:
    """The system's time; the n-th time that it is asked, another runtime has just swapped the image."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self.left = 0
        self.swap: Callable[[], None] = lambda: None

    def now(self) -> str:
        if self.left:
            self.left -= 1
            if not self.left:
                self.swap()
        return self._clock.now()

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s()


@pytest.mark.parametrize("nth", range(1, 6))
def test_a_swap_between_any_two_steps_of_a_question_mixes_nothing(tmp_path: Path, nth: int) -> None:
    made, clock = first(), SwappingClock()
    opened = runtime(made, tmp_path, clock=clock)
    other = runtime(made, tmp_path)
    documents = {made.identity.revision: made}

    def swap() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(amended, other, 1).result()
        head = opened._agent.reload()
        documents[head.identity.revision] = head

    clock.swap, clock.left = swap, nth
    answers = [opened.recall("notes", by=ANN) for _ in range(6)]
    assert len(documents) == 2, "the image was swapped"
    images = {revision: compile_governance(document).digest for revision, document in documents.items()}
    decided = records(opened.store, "decision", "recall")
    assert len(decided) == len(answers)
    for record in decided:
        body = record.value["body"]
        assert body["image"] == images[body["revision"]]
    answers_of_the_image_itself(opened.store, documents, images)
    assert [answer.allowed for answer in answers][-1] is False
    other.store.close()
    opened.store.close()
