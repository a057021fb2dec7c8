"""An engine for very many requests: the compiled one, held against the reference on a sample.

Rules
1. The first decision of every outcome and every n-th one are decided by the reference engine, too.
2. Where the two differ, the reference's word counts, the difference is kept, and from there on the reference
   decides alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.engine.cedar import CedarEngine
from remit.engine.compiled.engine import CompiledEngine
from remit.engine.compiled.support import Unsupported

if TYPE_CHECKING:
    from remit.engine.image import PolicyImage
    from remit.engine.request import Decision, Request


MAX_KNOWN = 20_000
"""Outcomes whose answers are kept; the reference engine makes a new value for every decision."""


class Judge:
    """An engine for very many requests: compiled where that is possible, checked on a sample.

    Args:
        image: the policy image.
        every: how often the reference engine decides, too; 1 means always.
    """

    def __init__(self, image: PolicyImage, *, every: int) -> None:
        self.every = max(1, every)
        self._reference = CedarEngine(image)
        self._compiled: CompiledEngine | None = None
        self._seen: dict[int, Decision] = {}
        self._count = 0
        self.status = ""
        self.checked = 0
        self.divergence = ""
        try:
            self._compiled = CompiledEngine(image, reference=self._reference)
        except Unsupported as error:
            self.status = f"not compiled: {error}"

    @property
    def name(self) -> str:
        """Name and version of the engine that decides."""
        return (self._compiled or self._reference).name

    def decide(self, request: Request) -> Decision:
        """Answer one request; never raises."""
        if self._compiled is None:
            return self._reference.decide(request)
        found = self._compiled.decide(request)
        self._count += 1
        if self._count % self.every and (found.errors or self._seen.get(id(found)) is found):
            return found
        self.checked += 1
        wanted = self._reference.decide(request)
        if _same(found, wanted):
            if not found.errors and len(self._seen) < MAX_KNOWN:
                # Kept alive here, so that its id stays its own.
                self._seen[id(found)] = found
            return found
        self.divergence = (
            f"`{request.action}`: compiled says {found.kind} {list(found.reasons)}, "
            f"the reference {wanted.kind} {list(wanted.reasons)}"
        )
        self._compiled = None
        return wanted


def _same(one: Decision, other: Decision) -> bool:
    return (one.kind, one.reasons, {e.rule for e in one.errors}) == (
        other.kind,
        other.reasons,
        {e.rule for e in other.errors},
    )
