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
6. What was proven can be saved and need not be proven again, by the same versions of everything that made it.
"""

from __future__ import annotations

import importlib.metadata
import marshal
import sys
from dataclasses import dataclass, replace
from importlib.util import MAGIC_NUMBER
from itertools import count
from typing import TYPE_CHECKING, Literal, NamedTuple

from remit.engine.cedar import CedarEngine
from remit.engine.compiled.emit import Emitter
from remit.engine.compiled.engine import CompiledEngine, Outcome
from remit.engine.compiled.flat import all_forbids
from remit.engine.compiled.index import Index
from remit.engine.compiled.probes import MAX_PROBES
from remit.engine.compiled.support import Unsupported
from remit.engine.compiled.trees import Trees
from remit.engine.compiled.version import NAME
from remit.engine.policy_index import PolicyIndex
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


VERSION = f"{NAME}, cedarpy {importlib.metadata.version('cedarpy')}, {MAGIC_NUMBER.hex()}, {sys.version}"
"""Of everything that what is saved depends on: compiler, reference engine and interpreter."""


class _Saved(NamedTuple):
    """What `CheckedEngine.save` keeps.

    Args:
        version: `VERSION`.
        image: digest of the policy image.
        policies: `PolicyIndex.to_bytes`.
        refused: why the image is not compiled, reason by reason; empty where it is.
        probes: how many requests the engines agreed on.
        code: `CompiledEngine.save`; empty where the image is not compiled.
    """

    version: str
    image: str
    policies: bytes
    refused: tuple[str, ...]
    probes: int
    code: bytes


class CheckedEngine:
    """Decide requests under one policy image: fast where proven, exact always.

    Args:
        image: what `remit.policy` compiled.
        sample: re-decide every n-th decision by the reference engine; 1 means all.
        on_divergence: called once with the difference that ended compiled decisions; at load, during
            construction. In service, what it raises is noted in `status` and goes no further.
        saved: what `save` of an engine for this image returned; trusted, for it is code. What is damaged or
            of other versions is as if it were not given.
        progress: called with how many probes are decided and how many there are at most.
        emitter: see `CompiledEngine`.
        arranger: likewise.

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
        saved: bytes | None = None,
        progress: Callable[[int, int], None] | None = None,
        emitter: type[Emitter] = Emitter,
        arranger: type[Index] = Index,
    ) -> None:
        if sample < 1:
            raise ValueError("`sample` is less than 1: 1 checks every decision")
        self._sample = sample
        self._on_divergence = on_divergence
        self._image = image.digest
        self._emitter, self._arranger = emitter, arranger
        self._compiled: CompiledEngine | None = None
        self._seen: dict[tuple[str, int], Decision] = {}
        self._count = count(1)
        self._probes = 0
        self._refused: tuple[str, ...] = ()
        self._bytes = b""
        if saved is None or not self._restore(image, saved):
            self._load(image, progress)

    def _restore(self, image: PolicyImage, saved: bytes) -> bool:
        """Go on from what was saved; false where it is of no use."""
        try:
            content = _Saved(*marshal.loads(saved))  # noqa: S302  # trusted: see the class's docstring
            if content.version != VERSION or content.image != image.digest:
                return False
            self._index = PolicyIndex.from_bytes(content.policies)
            self._reference = CedarEngine(image, index=self._index)
            if content.code:
                self._compiled = CompiledEngine(
                    image, reference=self._reference, index=self._index, saved=content.code
                )
        except Exception:  # noqa: BLE001  # damaged in whatever way: made anew
            self._compiled = None
            return False
        self._probes, self._refused, self._bytes = content.probes, content.refused, saved
        self._tell()
        return True

    def _load(self, image: PolicyImage, progress: Callable[[int, int], None] | None) -> None:
        trees = Trees.of(image)
        self._index = trees.index
        self._reference = CedarEngine(image, index=self._index)
        try:
            compiled = CompiledEngine(
                image,
                reference=self._reference,
                trees=trees,
                emitter=self._emitter,
                arranger=self._arranger,
            )
        except Unsupported as error:
            self._refused = tuple(fault.message for fault in error.faults)
        else:
            difference = self._prove(image, compiled, progress or _unseen)
            if difference is not None:
                self._diverged(difference)
                return
            self._compiled = compiled
        self._tell()

    def _tell(self) -> None:
        reference = self._reference.name
        if self._compiled is None:
            shown = "; ".join(self._refused[:_SHOWN]) + ("; …" if len(self._refused) > _SHOWN else "")
            self._status = f"{reference}: not compiled: {shown}"
        else:
            self._status = (
                f"{self._compiled.name}: decides {self._probes} probes as {reference} does; "
                f"every new outcome and every {self._sample}. decision are checked again"
            )

    def _prove(
        self, image: PolicyImage, compiled: CompiledEngine, progress: Callable[[int, int], None]
    ) -> Divergence | None:
        """Return the first probe that the engines differ on."""
        engines: list[tuple[CompiledEngine, Engine]] = [(compiled, self._reference)]
        if len(image.policies) <= MAX_FLATTENED:
            flat = all_forbids(image)
            reference = CedarEngine(flat)
            engines.append(
                (
                    CompiledEngine(flat, reference=reference, emitter=self._emitter, arranger=self._arranger),
                    reference,
                )
            )
        for request in compiled.probes():
            self._probes += 1
            progress(self._probes, MAX_PROBES)
            for fast, exact in engines:
                found = fast.outcome(request)
                if found is not None:
                    decision = exact.decide(request)
                    if not agrees(found, decision):
                        return Divergence(when="load", request=request, compiled=found, reference=decision)
        return None

    def save(self) -> bytes | None:
        """Return what the argument `saved` needs to go on from here.

        Returns:
            Nothing where the engines have differed, or there is too much to keep.
        """
        compiled = self._compiled
        if compiled is None and not self._refused:
            return None
        if not self._bytes and self._emitter is Emitter and self._arranger is Index:
            code = b"" if compiled is None else compiled.save()
            if code is not None:
                self._bytes = marshal.dumps(
                    tuple(
                        _Saved(
                            version=VERSION,
                            image=self._image,
                            policies=self._index.to_bytes(),
                            refused=self._refused,
                            probes=self._probes,
                            code=code,
                        )
                    )
                )
        return self._bytes or None

    @property
    def name(self) -> str:
        """Name and version of the engine that decides now."""
        compiled = self._compiled
        return self._reference.name if compiled is None else compiled.name

    @property
    def reference(self) -> str:
        """Name and version of the reference engine."""
        return self._reference.name

    @property
    def index(self) -> PolicyIndex:
        """The index of the image's policies."""
        return self._index

    @property
    def probes(self) -> int:
        """How many requests the engines were compared on at load."""
        return self._probes

    @property
    def refused(self) -> tuple[str, ...]:
        """Why the image is not compiled, reason by reason, each with the rule's id; empty where it is."""
        return self._refused

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


def saved_index(image: PolicyImage, saved: bytes | None) -> PolicyIndex | None:
    """Return the policy index in what `CheckedEngine.save` returned; nothing where it is of no use.

    Args:
        image: whose engine it is.
        saved: trusted, as by `CheckedEngine`.
    """
    if saved is None:
        return None
    try:
        content = _Saved(*marshal.loads(saved))  # noqa: S302  # trusted: see above
        if content.version != VERSION or content.image != image.digest:
            return None
        return PolicyIndex.from_bytes(content.policies)
    except Exception:  # noqa: BLE001  # damaged in whatever way: made anew
        return None


def _unseen(_: int, __: int) -> None:
    """Show no progress."""


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
