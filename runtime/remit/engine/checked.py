"""Compiled decisions where they are proven, the reference engine's everywhere else.

Rules
1. What the compiler does not take runs on the reference engine, and `status` says why.
2. At load both engines decide the image's probes (`remit.engine.compiled.probes`), and again with all
   permits made forbids, so that no permit hides under a forbid; one difference, and the image runs on the
   reference engine. Large images are compared as they are only.
3. In service the reference engine re-decides, before the answer is given, the first occurrence of every
   outcome (action, verdict, kind, reasons) and every n-th decision.
4. Where a policy errs, the answer is the reference engine's own; compiled code must have found the same.
5. A difference in service is a deny that says so; from then on the image runs on the reference engine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Literal

from remit.engine.cedar import CedarEngine
from remit.engine.compiled.emit import Emitter
from remit.engine.compiled.engine import CompiledEngine, Outcome
from remit.engine.compiled.flat import all_forbids
from remit.engine.compiled.index import Index
from remit.engine.compiled.support import Unsupported
from remit.engine.request import Decision, PolicyFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from remit.engine.image import PolicyImage
    from remit.engine.port import Engine
    from remit.engine.request import Request

MAX_FLATTENED = 50_000
"""Characters of policies up to which the permits under forbids are compared at load, too."""

MAX_SEEN = 20_000
"""Outcomes remembered as checked; beyond that they are checked anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The two engines differ on a request.

    Args:
        when: at load or in service.
        request: what was asked.
        compiled: what compiled code found.
        reference: what the reference engine decided.
    """

    when: Literal["load", "service"]
    request: Request
    compiled: Outcome
    reference: Decision

    @property
    def found(self) -> str:
        """What compiled code found, in words."""
        return _words(self.compiled.kind, self.compiled.reasons, sorted(self.compiled.erring))

    @property
    def wanted(self) -> str:
        """What the reference engine decided, in words."""
        erring = sorted({failure.rule for failure in self.reference.errors})
        return _words(self.reference.kind, self.reference.reasons, erring)


class CheckedEngine:
    """Decide requests under one policy image: fast where proven, exact always.

    Args:
        image: what `remit.policy` compiled.
        sample: re-decide every n-th decision by the reference engine; 1 means all.
        on_divergence: called once with the difference that ended compiled decisions; at load, during
            construction. In service, what it raises is noted in `status` and goes no further.
        emitter: see `CompiledEngine`.
        index: likewise.

    Raises:
        PolicyError: the image does not load.
        ValueError: `sample` is less than 1.
    """

    def __init__(
        self,
        image: PolicyImage,
        *,
        sample: int,
        on_divergence: Callable[[Divergence], None],
        emitter: type[Emitter] = Emitter,
        index: type[Index] = Index,
    ) -> None:
        if sample < 1:
            raise ValueError("`sample` is less than 1: 1 checks every decision")
        self._sample = sample
        self._on_divergence = on_divergence
        self._reference = CedarEngine(image)
        self._compiled: CompiledEngine | None = None
        self._seen: dict[tuple[str, int], Decision] = {}
        self._count = count(1)
        self._probes = 0
        try:
            compiled = CompiledEngine(image, reference=self._reference, emitter=emitter, index=index)
        except Unsupported as error:
            self._status = f"{self._reference.name}: not compiled: {error}"
            return
        difference = self._prove(image, compiled, emitter, index)
        if difference is not None:
            self._diverged(difference)
            return
        self._compiled = compiled
        self._status = (
            f"{compiled.name}: decides {self._probes} probes as {self._reference.name} does; "
            f"every new outcome and every {self._sample}. decision are checked again"
        )

    def _prove(
        self, image: PolicyImage, compiled: CompiledEngine, emitter: type[Emitter], index: type[Index]
    ) -> Divergence | None:
        """Return the first probe that the engines differ on."""
        engines: list[tuple[CompiledEngine, Engine]] = [(compiled, self._reference)]
        if len(image.policies) <= MAX_FLATTENED:
            flat = all_forbids(image)
            reference = CedarEngine(flat)
            engines.append(
                (CompiledEngine(flat, reference=reference, emitter=emitter, index=index), reference)
            )
        for request in compiled.probes():
            self._probes += 1
            for fast, exact in engines:
                found = fast.outcome(request)
                if found is not None:
                    decision = exact.decide(request)
                    if not agrees(found, decision):
                        return Divergence(when="load", request=request, compiled=found, reference=decision)
        return None

    @property
    def name(self) -> str:
        """Name and version of the engine that decides now."""
        compiled = self._compiled
        return self._reference.name if compiled is None else compiled.name

    @property
    def status(self) -> str:
        """Which engine decides, and why, in one line for people."""
        return self._status

    def decide(self, request: Request) -> Decision:
        """Answer one request; every doubt is a deny with a reason, never an exception."""
        compiled = self._compiled
        if compiled is None:
            return self._reference.decide(request)
        found = compiled.run(request)
        if (
            type(found) is Decision
            and self._seen.get((request.action, id(found))) is found
            and next(self._count) % self._sample
        ):
            return found
        wanted = self._reference.decide(request)
        if found is None:
            return replace(wanted, engine=compiled.name)
        outcome = compiled.described(found)
        if not agrees(outcome, wanted):
            difference = Divergence(when="service", request=request, compiled=outcome, reference=wanted)
            return self._denied(difference, wanted)
        if type(found) is Decision:
            if len(self._seen) >= MAX_SEEN:
                self._seen.clear()
            # Kept alive here, so that its id stays its own.
            self._seen[request.action, id(found)] = found
            return found
        return replace(wanted, engine=compiled.name)

    def _denied(self, difference: Divergence, wanted: Decision) -> Decision:
        try:
            self._diverged(difference)
        except Exception as error:  # noqa: BLE001  # the answer is a deny whatever the callback does
            self._status += f"; the callback failed: {type(error).__name__}"
        why = f"the compiled policies decide otherwise than the policy engine: {_difference(difference)}"
        return replace(
            wanted, verdict="deny", kind="error", reasons=(), errors=(PolicyFailure(rule="", message=why),)
        )

    def _diverged(self, difference: Divergence) -> None:
        self._compiled = None
        self._seen.clear()
        when = "at load" if difference.when == "load" else "in service"
        self._status = f"{self._reference.name}: compiled policies differed {when}: {_difference(difference)}"
        self._on_divergence(difference)


def agrees(found: Outcome, decision: Decision) -> bool:
    """Return whether compiled code found what the reference engine decided: kind, reasons, erring rules."""
    erring = frozenset(failure.rule for failure in decision.errors)
    return (found.kind, found.reasons, found.erring) == (decision.kind, decision.reasons, erring)


def _difference(difference: Divergence) -> str:
    return f"{difference.found} instead of {difference.wanted}"


_SHOWN = 5


def _words(kind: str, reasons: Sequence[str], erring: Sequence[str]) -> str:
    rules = [f"`{rule}`" for rule in (*reasons, *erring)]
    shown = ", ".join(rules[:_SHOWN]) + (", …" if len(rules) > _SHOWN else "")
    return f"{kind} ({shown})" if shown else kind
