"""The compiled engine: the policy syntax tree as Python code, deciding exactly as the reference engine does.

Rules
1. Allowed, forbidden, not permitted: decided by compiled code alone.
2. That a policy errs, and which, is found by compiled code; what it says is the reference engine's word.
   If the reference sees it differently, that is a divergence: a deny that says so.
3. What the compiled ingress check does not find plainly well formed goes to the reference engine whole.
4. Code is made when an action is first asked about, from the image alone; a program made twice is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import RLock
from typing import TYPE_CHECKING, cast

from remit.engine.cedar import CedarEngine
from remit.engine.compiled.chunks import FunctionMaker
from remit.engine.compiled.emit import Emitter
from remit.engine.compiled.entities import EntityKind
from remit.engine.compiled.index import Index
from remit.engine.compiled.ingress_code import entity_check, has_decimals
from remit.engine.compiled.lifting import entity_lifts
from remit.engine.compiled.outcomes import Failed, Outcomes
from remit.engine.compiled.probes import Probes
from remit.engine.compiled.program import Numbered, Parts, Program, ProgramWriter, action_fits
from remit.engine.compiled.slots import SlotNames
from remit.engine.compiled.support import check_types, supported_policies
from remit.engine.compiled.version import NAME
from remit.engine.reads import read_paths
from remit.engine.request import NAMESPACE, Decision, Kind, PolicyFailure
from remit.engine.schema import resolve_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from remit.engine.image import PolicyImage
    from remit.engine.port import Engine
    from remit.engine.request import Request

_PREFIX = f"{NAMESPACE}::"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What compiled code itself found, without the reference engine.

    Args:
        kind: of the decision.
        reasons: as in a decision.
        erring: ids of the rules that erred.
    """

    kind: Kind
    reasons: tuple[str, ...]
    erring: frozenset[str]


class CompiledEngine:
    """Decide requests under one policy image by compiled code.

    Args:
        image: what `remit.policy` compiled.
        reference: decides what compiled code does not; made from the image at first need if not given.
        emitter: writes the conditions; tests give another one to see its bugs caught.
        index: arranges them; likewise.

    Raises:
        Unsupported: the compiler does not take the image; says which policy and why.
        PolicyError: the image does not load at all.
    """

    def __init__(
        self,
        image: PolicyImage,
        *,
        reference: Engine | None = None,
        emitter: type[Emitter] = Emitter,
        index: type[Index] = Index,
    ) -> None:
        self._image = image
        self._reference = reference
        self._types = resolve_schema(image.schema)
        check_types(self._types)
        policies = supported_policies(image.policies)
        self._rules = tuple(policies)
        self._policies = tuple(Numbered(n, policy) for n, policy in enumerate(policies.values()))
        self._outcomes = Outcomes(self._rules, NAME, image.digest)
        maker = FunctionMaker()
        kinds = {
            full.removeprefix(_PREFIX): EntityKind(
                full=full,
                check=cast(
                    "Callable[[object], bool | None]",
                    maker.make(entity_check(declared, f"check_{n}"), {}),
                ),
                exact=not has_decimals(declared),
                parents=frozenset(self._types.parents[full]),
            )
            for n, (full, declared) in enumerate(self._types.entities.items())
            if full.startswith(_PREFIX)
        }
        self._lock = RLock()
        self._parts = Parts(
            types=self._types,
            reads=read_paths(image),
            kinds=kinds,
            lifts=entity_lifts(self._types.entities),
            names=SlotNames(),
            maker=maker,
            outcomes=self._outcomes,
            emitter=emitter,
            arranger=index,
            lock=self._lock,
        )
        self._programs: dict[tuple[str, str, str], Program] = {}

    @property
    def name(self) -> str:
        """Name and version of the engine."""
        return NAME

    @property
    def reference(self) -> Engine:
        """The engine that words what errs."""
        if self._reference is None:
            self._reference = CedarEngine(self._image)
        return self._reference

    def decide(self, request: Request) -> Decision:
        """Answer one request; every doubt is a deny with a reason, never an exception."""
        found = self.run(request)
        if type(found) is Decision:
            return found
        decision = self.reference.decide(request)
        if found is not None:
            outcome = self.described(found)
            erring = frozenset(failure.rule for failure in decision.errors)
            if decision.kind != "error" or decision.reasons != outcome.reasons or erring != outcome.erring:
                return self._diverged(outcome.erring, decision)
        return replace(decision, engine=NAME)

    def outcome(self, request: Request) -> Outcome | None:
        """Return what compiled code finds by itself; nothing where it leaves the request to the reference."""
        found = self.run(request)
        return None if found is None else self.described(found)

    def run(self, request: Request) -> Decision | Failed | None:
        """Run compiled code alone.

        Returns:
            A decision without errors, one value for equal outcomes; or which policies erred;
            or nothing where compiled code leaves the request to the reference engine.
        """
        try:
            key = (request.action, request.principal.ref.type, request.resource.ref.type)
            program = self._programs.get(key)
            if program is None:
                program = self._program(*key)
            return program(request)
        except Exception:  # noqa: BLE001  # a request that is not as declared, or generated code with a bug: not for this engine to answer
            return None

    def described(self, found: Decision | Failed) -> Outcome:
        """Return what `run` returned as an outcome."""
        if isinstance(found, Decision):
            return Outcome(kind=found.kind, reasons=found.reasons, erring=frozenset())
        return Outcome(
            kind="error",
            reasons=self._outcomes.rule_ids(found.forbids),
            erring=frozenset(self._outcomes.rule_ids(found.errors)),
        )

    def probes(self) -> Iterator[Request]:
        """Yield the requests on which the engines are compared at load."""
        return Probes(self._types, self._policies, self._image.digest).requests()

    def _diverged(self, erring: frozenset[str], decision: Decision) -> Decision:
        named = ", ".join(f"`{rule}`" for rule in sorted(erring))
        why = f"the compiled policies {named} erred, and the reference engine says {decision.kind}"
        return Decision(
            verdict="deny",
            kind="error",
            reasons=(),
            errors=(PolicyFailure(rule="", message=why),),
            engine=NAME,
            image=self._image.digest,
        )

    def _program(self, action: str, principal: str, resource: str) -> Program:
        declared = self._types.actions.get(action)
        names = (f"{_PREFIX}{principal}", f"{_PREFIX}{resource}")
        if (
            not self._policies
            or declared is None
            or names[0] not in declared.principals
            or names[1] not in declared.resources
        ):
            return _nothing
        with self._lock:
            key = (action, principal, resource)
            program = self._programs.get(key)
            if program is None:
                fitting = (n for n in self._policies if action_fits(n.policy.action, declared))
                # Kept first: what cannot be written is not tried again for each request.
                self._programs[key] = _nothing
                program = ProgramWriter(self._parts, declared, *names).write(fitting)
                self._programs[key] = program
            return program


def _nothing(_: Request) -> None:
    """Leave a request to the reference engine."""
