"""Rows of a ledger as requests that can be put to a candidate.

Rules
1. A record's content counts only if it is what the leaf commits to. Whether the leaf is what was signed is
   for `remit ledger verify` to say.
2. A row that cannot be replayed gives the reason, never a guess.
3. `Reader.read` gives what `request_of` and `Candidate.seen` give together; tests compare the two. It exists
   because a million records take the time of building each request once instead of twice.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic_core import from_json

from remit.engine.request import Entity, EntityRef, Request
from remit.gate.recorded import NotKeptError, ref_of, request_of
from remit.workbench.replay.pieces import Pieces

if TYPE_CHECKING:
    from remit.document.values import JsonObject
    from remit.host.candidate import Candidate
    from remit.workbench.replay.source import Row

BY_RULES = frozenset(
    ("allowed", "forbidden", "not_permitted", "error", "awaiting_approval", "approval_refused")
)
"""Kinds of a recorded decision in which rules were asked."""

MAX_REFS = 100_000
"""Names of entities that are kept; there may be as many callers as there are records."""

OTHER_AGENT = "of another agent"
ERASED = "its content was erased"
DAMAGED = "its content is not what the record commits to: run `remit ledger verify`"
UNREADABLE = "the record cannot be read: run `remit ledger verify`"


class Recorded(NamedTuple):
    """One recorded decision that can be decided again.

    Args:
        record: its index.
        at: when, RFC 3339 UTC.
        run: run id.
        step: number of the step within the run.
        verdict: allow, deny or awaiting_approval.
        kind: why.
        rules: the rules that decided, as recorded.
        roles: in which people had approved exactly this request.
        digest: of the request, without clock and counters.
        request: as it is to the candidate.
    """

    record: int
    at: str
    run: str
    step: int
    verdict: str
    kind: str
    rules: list[str]
    roles: frozenset[str]
    digest: str
    request: Request


_NO_ROLES: frozenset[str] = frozenset()


class Reader:
    """Reads rows of one agent's decisions for one candidate.

    Args:
        candidate: whose view of requests is wanted.
        agent: id of the agent whose decisions are replayed.
    """

    def __init__(self, candidate: Candidate, agent: str) -> None:
        self._candidate = candidate
        self._agent = agent
        self._refs: dict[str, EntityRef] = {}
        self._pieces = Pieces(self._named, self._others)
        self._unasked: dict[tuple[str, str], str] = {}

    def read(self, row: Row) -> Recorded | str:
        """Return the decision in a row, or why it cannot be replayed."""
        index, leaf, salt, content = row
        try:
            value: dict[str, Any] = from_json(leaf, cache_strings="keys")
            if value["agent"] != self._agent:
                return OTHER_AGENT
            body: dict[str, Any] = value["body"]
            kind: str = body["kind"]
            if kind not in BY_RULES or (kind == "error" and not body["errors"]):
                return f"decided before rules were asked: {str(kind).replace('_', ' ')}"
            if content is None or salt is None:
                return ERASED if "content" in value else "it was recorded without content"
            if value["content"] != "sha256:" + hashlib.sha256(salt + content).hexdigest():
                return DAMAGED
            unasked = self._question(body["action"], body["resource"])
            if unasked:
                return unasked
            verdict: str = body["verdict"]
            return Recorded(
                index,
                value["at"],
                value["run"],
                body["step"],
                verdict,
                kind,
                body["reasons"] if verdict == "allow" else body["rules"],
                frozenset(item["role"] for item in body["approvals"]) if "approvals" in body else _NO_ROLES,
                body["request"],
                self._request(body, content),
            )
        except NotKeptError as error:
            return str(error)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError, StopIteration):
            return UNREADABLE

    def _request(self, body: JsonObject, content: bytes) -> Request:
        pieces = self._pieces.read(content, cast("str", body["principal"]), cast("str", body["resource"]))
        if pieces is None:
            return self._candidate.seen(request_of(body, from_json(content)), agent=self._agent)
        context, principal, resource, entities = pieces
        return Request(
            principal=principal,
            action=cast("str", body["action"]),
            resource=resource,
            context=self._candidate.context(context),
            entities=entities,
        )

    def _others(self, items: list[dict[str, Any]]) -> tuple[Entity, ...] | None:
        if any("parents" in item for item in items):
            return None
        return tuple(
            self._entity(EntityRef(type=item["type"], id=item["id"]), item["attributes"]) for item in items
        )

    def _named(self, name: str, attributes: JsonObject) -> Entity:
        return self._entity(self._ref(name), attributes)

    def _entity(self, ref: EntityRef, attributes: JsonObject) -> Entity:
        if type(attributes) is not dict:
            raise NotKeptError("the attributes of an entity were not recorded")
        if ref.type == "Agent":
            if ref.id == self._agent:
                return self._candidate.agent(ref, attributes)
        elif ref.type != "Caller":
            declared = self._candidate.declared.get(ref)
            if declared is not None:
                return declared
        return Entity(ref=ref, attributes=attributes)

    def _ref(self, text: str) -> EntityRef:
        known = self._refs.get(text)
        if known is None:
            if len(self._refs) >= MAX_REFS:
                self._refs.clear()
            known = self._refs[text] = ref_of(text)
        return known

    def _question(self, action: str, resource: str) -> str:
        key = (action, resource)
        known = self._unasked.get(key)
        if known is None:
            known = self._unasked[key] = self._candidate.unasked(action, self._ref(resource))
        return known
