"""Asking cedarpy: one call, and its answer as a value.

cedarpy's own Python around the call builds objects of the whole answer, its timings included, which costs as
much as Cedar does for a few policies. So the call beneath it is used where it is as this module expects; that
is tried at import, and everything else goes through the public function.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Literal, cast

import cedarpy
import msgspec

from remit.engine.recent import Recent
from remit.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    RawCall = Callable[[dict[str, object], cedarpy.PolicySet, object, None, bool], str]

MAX_ENTITIES = 1_024
"""Texts of entities that are remembered, parsed if they came twice. Each takes a few KB."""

NOBODY = "[]"
"""No entities."""

CedarDecision = Literal["Allow", "Deny", "NoDecision"]
"""In cedarpy's words."""


class Diagnostics(Value, frozen=True, kw_only=True, gc=False):
    """Why Cedar decided as it did.

    Args:
        reason: ids of the determining policies, as cedarpy numbers them.
        errors: what went wrong.
    """

    reason: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


class Answer(Value, frozen=True, kw_only=True, gc=False):
    """What Cedar says of some policies: the members of cedarpy's JSON that are read.

    Args:
        decision: the decision, or that there is none.
        diagnostics: its grounds.
    """

    decision: CedarDecision
    diagnostics: Diagnostics


_ANSWER = msgspec.json.Decoder(Answer)


class EntityTexts:
    """Entities as text, parsed once where they come back: who acts is mostly who acted before."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known = Recent[object](MAX_ENTITIES)

    def prepared(self, text: str) -> object:
        """Return what `Policies.ask` takes for a JSON array of entities: the text, or the same parsed."""
        if RAW is None:
            return text
        known = self._known.get(text)
        if known is None:
            # To be parsed apart takes longer than within the call, so what comes once is not.
            known = text
            self._known.keep(text, known, 1)
        elif type(known) is str:
            known = _parsed(text)
            self._known.keep(text, known, 1)
        return known


class Policies:
    """Some policies, parsed.

    Args:
        text: the policies.

    Raises:
        ValueError: the text does not parse.
    """

    __slots__ = ("_handle",)

    def __init__(self, text: str) -> None:
        self._handle = cedarpy.PolicySet.from_str(text)

    def __len__(self) -> int:
        return len(self._handle)

    @property
    def handle(self) -> cedarpy.PolicySet:
        """The policies as cedarpy takes them."""
        return self._handle

    def ask(self, request: dict[str, object], entities: object) -> Answer:
        """Decide a request.

        Args:
            request: as cedarpy takes it, with the context as JSON.
            entities: a JSON array, as `EntityTexts` prepares it.
        """
        if RAW is None:
            return _public(request, self._handle, cast("str", entities))
        return _ANSWER.decode(RAW(request, self._handle, entities, None, False))  # noqa: FBT003  # the call takes no keywords


def _public(request: dict[str, object], policies: cedarpy.PolicySet, entities: str) -> Answer:
    answer = cedarpy.is_authorized(request, policies, entities)  # pyright: ignore[reportUnknownMemberType]  # cedarpy's `dict` lacks its types
    found = answer.diagnostics
    return Answer(
        decision=answer.decision.value,
        diagnostics=Diagnostics(reason=tuple(found.reasons), errors=tuple(found.errors)),
    )


def _parsed(entities: str) -> object:
    """Return entities as the inner call takes them parsed; as text where it is to say what is wrong."""
    try:
        return cast("object", cedarpy._internal.Entities.from_json_str(entities))  # noqa: SLF001  # see the module's words  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]  # likewise
    except ValueError:
        return entities


def raw_call() -> RawCall | None:
    """Return cedarpy's inner call if it is as this module expects; it is tried on answers of every kind."""
    uid = {"type": "A", "id": "a"}
    requests: list[dict[str, object]] = [
        {"principal": uid, "action": uid, "resource": uid, "context": context}
        for context in ('{"x":1}', '{"x":1.5}')
    ]
    someone = '[{"uid":{"type":"A","id":"a"},"attrs":{"y":2},"parents":[]}]'
    try:
        call = cast("RawCall", cedarpy._internal.is_authorized)  # noqa: SLF001  # see the module's words  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]  # likewise
        for request, condition, entities in product(
            requests,
            (
                "permit(principal, action, resource) when { context.x == 1 };",
                "permit(principal, action, resource);forbid(principal, action, resource);",
                "permit(principal, action, resource) when { context.y };",
                "permit(principal, action, resource) when { context.x == 2 };",
                "permit(principal, action, resource) when { principal.y == 2 };",
            ),
            (NOBODY, someone),
        ):
            policies = cedarpy.PolicySet.from_str(condition)
            told = _public(request, policies, entities)
            for given in (entities, _parsed(entities)):
                if _ANSWER.decode(call(request, policies, given, None, False)) != told:  # noqa: FBT003  # see above
                    return None
    except Exception:  # noqa: BLE001  # whatever is otherwise than expected, the public call is used
        return None
    return call


RAW = raw_call()
