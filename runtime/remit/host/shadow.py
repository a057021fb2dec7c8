"""Shadow: a candidate, and rules of `mode: shadow`, evaluated beside what is enforced.

Rules
1. Nothing here can change an answer: it is offered what was answered, after it was recorded.
2. Nothing here can delay or break a caller: `offer` never waits and never raises. What the bounded queue does
   not take is dropped and counted; so is whatever fails, in the candidate or in the ledger.
3. Everything else happens in one thread of its own: engines are made there, requests are decided there, and
   records go to the ledger in batches of their own.
4. Closing waits a bounded time. A candidate that hangs then loses its records, and nothing else.
5. Only what rules decided is compared: a denial by a stop order or for malformed arguments says nothing
   about rules.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.values import unshared
from remit.engine.request import Request
from remit.errors import LedgerError
from remit.gate.answers import Answer, AwaitingApproval, Granted
from remit.gate.verdicts import Answers, with_people
from remit.ports import Batch
from remit.records import Draft

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.engine.image import PolicyImage
    from remit.engine.port import Engine
    from remit.gate.approvals import ApprovalGrant
    from remit.host.candidate import Candidate
    from remit.ports import Clock, Ledger

QUEUE = 1_024
"""Decisions that wait; more are dropped."""

GROUP = 64
"""Records in a batch."""

CLOSING_S = 5.0
"""Seconds that closing waits for what is queued."""

_LEDGER_S = 30.0
_KEPT_IMAGES = 4
_BY_RULES = ("forbidden", "not_permitted", "error", "approval_refused")
_MESSAGE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowCounts:
    """What became of decisions that were offered.

    Args:
        offered: how many.
        recorded: whose shadow is in the ledger.
        dropped: that the queue did not take, or that closing did not wait for.
        failed: whose evaluation failed; its record says why.
        unrecorded: that the ledger refused.
    """

    offered: int
    recorded: int
    dropped: int
    failed: int
    unrecorded: int

    def to_json(self) -> JsonObject:
        """Return the counts as a JSON object with stable keys."""
        return {
            "offered": self.offered,
            "recorded": self.recorded,
            "dropped": self.dropped,
            "failed": self.failed,
            "unrecorded": self.unrecorded,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    request: Request
    verdict: str
    kind: str
    rules: tuple[str, ...]
    approved: frozenset[str]
    decision: str
    index: int
    run: str
    agent: str
    document: Document
    image: PolicyImage
    watched: bool


class Shadow:
    """Evaluates beside one agent's gate.

    Args:
        ledger: where records go.
        clock: time of the records.
        candidate: evaluated beside every decision; None where only rules of `mode: shadow` are.
        make_engine: prepares an engine from an image.
        capacity: decisions that may wait.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        candidate: Candidate | None,
        *,
        make_engine: Callable[[PolicyImage], Engine],
        capacity: int = QUEUE,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._candidate = candidate
        self._make_engine = make_engine
        self._queue: queue.Queue[_Offer | None] = queue.Queue(capacity)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._counts = {"offered": 0, "recorded": 0, "dropped": 0, "failed": 0, "unrecorded": 0}
        self._answers: Answers | None = None
        self._rules: OrderedDict[str, Mapping[str, Answers]] = OrderedDict()

    @property
    def counts(self) -> ShadowCounts:
        """What became of what was offered so far."""
        with self._lock:
            return ShadowCounts(**self._counts)

    def offer(
        self,
        request: Request,
        answer: Answer,
        *,
        approvals: tuple[ApprovalGrant, ...],
        document: Document,
        image: PolicyImage,
        watched: bool,
        run: str,
    ) -> None:
        """Take a decision that was answered and recorded; returns at once, whatever happens.

        Args:
            request: what was asked.
            answer: what the gate answered.
            approvals: what people had answered in this run.
            document: the revision under which it was asked.
            image: its compiled governance.
            watched: whether the document has rules of `mode: shadow`.
            run: run id.
        """
        if self._candidate is None and not watched:
            return
        try:
            side = _enforced(answer)
            if side is None or answer.receipt is None:
                return
            self._count("offered")
            if self._closed or self._queue.full():
                self._count("dropped")
                return
            used = answer.approvals if isinstance(answer, Granted) else ()
            self._queue.put_nowait(
                _Offer(
                    request=_own(request),
                    verdict=side[0],
                    kind=side[1],
                    rules=side[2],
                    approved=frozenset(grant.role for grant in approvals if grant.id in used),
                    decision=answer.receipt.digest,
                    index=answer.receipt.index,
                    run=run,
                    agent=document.identity.agent,
                    document=document,
                    image=image,
                    watched=watched,
                )
            )
            self._begin()
        except Exception:  # noqa: BLE001  # rule 2: nothing of a shadow reaches the caller
            self._count("dropped")

    def close(self, timeout_s: float = CLOSING_S) -> None:
        """Finish what is queued, at most for `timeout_s`; idempotent, never raises."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            thread = self._thread
        if thread is None:
            return
        # A full queue has a thread at work, which sees that it is closed.
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        thread.join(timeout_s)
        if thread.is_alive():
            left = self._queue.qsize()
            self._count("dropped", left)
        self._record_losses()

    def _count(self, name: str, by: int = 1) -> None:
        with self._lock:
            self._counts[name] += by

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                # A daemon: a candidate that hangs does not keep the program alive.
                self._thread = threading.Thread(target=self._work, name="remit-shadow", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        ending = False
        while not ending:
            drafts: list[Draft] = []
            try:
                offer = self._queue.get(timeout=0.2)
            except queue.Empty:
                if self._closed:
                    return
                continue
            while offer is not None:
                drafts.append(self._evaluated(offer))
                if len(drafts) >= GROUP:
                    break
                try:
                    offer = self._queue.get_nowait()
                except queue.Empty:
                    break
            else:
                ending = True
            self._record(drafts)

    def _record(self, drafts: list[Draft]) -> None:
        if not drafts:
            return
        try:
            self._ledger.submit(Batch(records=tuple(drafts))).result(timeout=_LEDGER_S)
        except Exception:  # noqa: BLE001  # rule 2: a ledger that refuses a shadow costs the shadow alone
            self._count("unrecorded", len(drafts))
        else:
            self._count("recorded", len(drafts))

    def _evaluated(self, offer: _Offer) -> Draft:
        body: JsonObject = {
            "decision": offer.decision,
            "index": offer.index,
            "action": offer.request.action,
            "resource": str(offer.request.resource.ref),
            "enforced": {"verdict": offer.verdict, "kind": offer.kind, "rules": [*offer.rules]},
            "image": offer.image.digest,
        }
        try:
            if self._candidate is not None:
                body["candidate"] = self._beside(self._candidate, offer)
            if offer.watched:
                body["alone"] = self._alone(offer)
        except Exception as error:  # noqa: BLE001  # rule 2
            self._count("failed")
            body["failed"] = _said(error)
        return Draft(kind="shadow", agent=offer.agent, run=offer.run, at=self._clock.now(), body=_plain(body))

    def _beside(self, candidate: Candidate, offer: _Offer) -> JsonObject:
        told: JsonObject = {
            "image": candidate.image.digest,
            "revision": candidate.document.identity.revision,
        }
        unasked = candidate.unasked(offer.request.action, offer.request.resource.ref)
        if unasked:
            return {**told, "unasked": unasked}
        if self._answers is None:
            self._answers = Answers(candidate.image, self._make_engine(candidate.image))
        return {**told, **_answer(self._answers, candidate.seen(offer.request, agent=offer.agent), offer)}

    def _alone(self, offer: _Offer) -> list[JsonValue]:
        rules = self._rules.get(offer.image.digest)
        if rules is None:
            from remit.policy.compile import compile_shadows

            rules = {
                rule: Answers(image, self._make_engine(image))
                for rule, image in compile_shadows(offer.document).items()
            }
            self._rules[offer.image.digest] = rules
            while len(self._rules) > _KEPT_IMAGES:
                self._rules.popitem(last=False)
        return [{"rule": rule, **_answer(answers, offer.request, offer)} for rule, answers in rules.items()]

    def _record_losses(self) -> None:
        """Leave a record of what is missing, so that a report does not take it for agreement."""
        counts = self.counts
        if not (counts.dropped or counts.unrecorded):
            return
        draft = Draft(
            kind="shadow", agent="", run="", at=self._clock.now(), body={"losses": counts.to_json()}
        )
        with contextlib.suppress(LedgerError, TimeoutError, OSError):
            self._ledger.submit(Batch(records=(draft,))).result(timeout=CLOSING_S)


def _enforced(answer: Answer) -> tuple[str, str, tuple[str, ...]] | None:
    """Return verdict, kind and rules of an answer that rules gave, or nothing (rule 5)."""
    if isinstance(answer, Granted):
        return "allow", "allowed", answer.decision.reasons
    if isinstance(answer, AwaitingApproval):
        return "awaiting_approval", "awaiting_approval", answer.rules
    return ("deny", answer.kind, answer.rules) if answer.kind in _BY_RULES else None


def _answer(answers: Answers, request: Request, offer: _Offer) -> JsonObject:
    # `answer` writes into the context: each question has its own.
    own = Request(
        principal=request.principal,
        action=request.action,
        resource=request.resource,
        context=dict(request.context),
        entities=request.entities,
    )
    found = with_people(
        answers.answer(own), approved=offer.approved, refused=offer.kind == "approval_refused"
    )
    return {
        "verdict": found.verdict,
        "kind": found.kind,
        "rules": [*found.rules],
        "errors": [text[:_MESSAGE] for text in found.errors],
    }


def _own(request: Request) -> Request:
    """Return a request whose context nobody else can change."""
    context = unshared(request.context)
    return Request(
        principal=request.principal,
        action=request.action,
        resource=request.resource,
        context=context if isinstance(context, dict) else {},
        entities=request.entities,
    )


def _said(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= _MESSAGE else text[:_MESSAGE] + "…"


def _plain(value: JsonObject) -> JsonObject:
    """Return a body without what no record can hold: texts become valid UTF-8."""
    cleaned = _cleaned(value)
    return cleaned if isinstance(cleaned, dict) else {}


def _cleaned(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {name: _cleaned(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return value
