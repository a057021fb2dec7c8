"""The compiled engine: the policy syntax tree as Python code, deciding exactly as the reference engine does.

Rules
1. Allowed, forbidden, not permitted: decided by compiled code alone.
2. That a policy errs, and which, is found by compiled code; what it says is the reference engine's word.
   If the reference sees it differently, that is a divergence: a deny that says so.
3. What the compiled ingress check does not find plainly well formed goes to the reference engine whole.
4. Code is made when an action is first asked about, from the image alone; a program made twice is the same.
"""

from __future__ import annotations

import marshal
from collections import defaultdict
from dataclasses import dataclass, replace
from threading import RLock
from typing import TYPE_CHECKING, cast

from remit.engine.cedar import CedarEngine
from remit.engine.compiled.chunks import FunctionMaker
from remit.engine.compiled.emit import Emitter
from remit.engine.compiled.entities import EntityKind
from remit.engine.compiled.frozen import Freezer, Saved, Thawer, TooMuch
from remit.engine.compiled.index import Index
from remit.engine.compiled.ingress_code import entity_check, has_decimals
from remit.engine.compiled.lifting import entity_lifts
from remit.engine.compiled.outcomes import Failed, Outcomes
from remit.engine.compiled.probes import Probes
from remit.engine.compiled.program import Parts, Program, ProgramWriter
from remit.engine.compiled.recipes import Recipe
from remit.engine.compiled.slots import SlotNames
from remit.engine.compiled.support import check_types
from remit.engine.compiled.trees import Trees
from remit.engine.compiled.version import NAME
from remit.engine.request import NAMESPACE, Decision, Kind, PolicyFailure
from remit.engine.schema import resolve_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from remit.engine.image import PolicyImage
    from remit.engine.policy_index import PolicyIndex
    from remit.engine.port import Engine
    from remit.engine.request import Request
    from remit.engine.schema import SchemaTypes

_Key = tuple[str, str, str]
"""Action, type of principal, type of resource."""

MAX_PROGRAMS = 256
"""Programs that are compiled to be saved; what is beyond is compiled when it is asked for."""

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
        index: of the image's policies; made if not given.
        trees: of the image's policies and index; parsed if not given.
        saved: what `save` returned for this image in an engine like this one; trusted, for it is code.
        emitter: writes the conditions; tests give another one to see its bugs caught.
        arranger: arranges them; likewise.

    Raises:
        Unsupported: the compiler does not take the image; says which policies and why.
        PolicyError: the image does not load at all.
        ValueError: what was saved is damaged, or of another version.
    """

    def __init__(
        self,
        image: PolicyImage,
        *,
        reference: Engine | None = None,
        index: PolicyIndex | None = None,
        trees: Trees | None = None,
        saved: bytes | None = None,
        emitter: type[Emitter] = Emitter,
        arranger: type[Index] = Index,
    ) -> None:
        self._image = image
        self._reference = reference
        self._types = resolve_schema(image.schema)
        self._lock = RLock()
        self._programs: dict[_Key, Program] = {}
        self._recipes: dict[_Key, Recipe] = {}
        self._saved: dict[_Key, bytes] = {}
        self._settled = saved is not None
        content = None if saved is None else Saved.read(saved)
        self._trees = trees or (Trees.of(image) if index is None else Trees(image.policies, index))
        if content is None:
            check_types(self._types)
            # Refuses what is not compiled.
            self._trees.numbered()
        self._outcomes = Outcomes(self._trees.rules, NAME, image.digest)
        names = SlotNames()
        if content is not None:
            self._saved = content.programs
            self._thawer = Thawer(content.codes)
            names.restore(content.paths)
            self._outcomes.restore(content.groups)
        self._maker = FunctionMaker(
            {
                "KINDS": _entity_kinds(self._types),
                "LIFTS": entity_lifts(self._types.entities),
                "Failed": Failed,
                "FORBIDDEN": self._outcomes.forbidden,
                "PERMITTED": self._outcomes.permitted,
                "NOTHING": self._outcomes.nothing,
                "forbid": self._outcomes.forbid,
                "permit": self._outcomes.permit,
            }
        )
        self._parts = Parts(
            types=self._types,
            reads=self._trees.index.reads(self._types.actions),
            names=names,
            outcomes=self._outcomes,
            emitter=emitter,
            arranger=arranger,
            lock=self._lock,
            tested=defaultdict(list),
        )

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
        trees = self._trees
        weights = {name: trees.applicable(action) for name, action in self._types.actions.items()}
        probes = Probes(self._types, trees.numbered(), trees.texts(), weights, self._image.digest)
        return probes.requests()

    def save(self) -> bytes | None:
        """Return this engine's code as bytes for the argument `saved`, once.

        What has not been compiled yet is, as far as it is not too much; then what that needed is let go.

        Returns:
            Nothing the second time, in an engine made of saved code, and where there is too much to keep.
        """
        with self._lock:
            if self._settled:
                return None
            combinations = [
                (name, principal.removeprefix(_PREFIX), resource.removeprefix(_PREFIX))
                for name, action in self._types.actions.items()
                for principal in sorted(action.principals)
                for resource in sorted(action.resources)
            ]
            for key in combinations[:MAX_PROGRAMS]:
                self._program(*key)
            freezer = Freezer(self._maker.code)
            try:
                programs = {key: freezer.frozen(recipe) for key, recipe in self._recipes.items()}
            except (TooMuch, TypeError, ValueError):
                programs = None
            paths, groups = self._parts.names.paths, self._outcomes.groups
            self._let_go()
        if programs is None:
            return None
        codes = tuple(marshal.dumps(code) for code in freezer.codes)
        return Saved(codes=codes, programs=programs, paths=paths, groups=groups).to_bytes()

    def _let_go(self) -> None:
        self._settled = True
        self._recipes.clear()
        self._parts.tested.clear()
        self._trees.forget()
        self._maker.forget()
        self._outcomes.forget()

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
            not self._trees.rules
            or declared is None
            or names[0] not in declared.principals
            or names[1] not in declared.resources
        ):
            return _nothing
        with self._lock:
            key = (action, principal, resource)
            program = self._programs.get(key)
            if program is None:
                # Kept first: what cannot be written is not tried again for each request.
                self._programs[key] = _nothing
                saved = self._saved.get(key)
                if saved is not None:
                    recipe = self._thawer.thawed(saved)
                else:
                    fitting = self._trees.fitting(declared)
                    recipe = ProgramWriter(self._parts, declared, *names).write(fitting)
                    if not self._settled:
                        self._recipes[key] = recipe
                program = cast("Program", self._maker.make(recipe))
                self._programs[key] = program
            return program


def applicable_policies(image: PolicyImage, index: PolicyIndex) -> Mapping[str, int]:
    """Return how many policies can apply to each action, of any principal and resource.

    Args:
        image: what `remit.policy` compiled.
        index: of its policies.
    """
    return {
        name: sum(policy.action.admits(name, action.ancestors) for policy in index.policies)
        for name, action in resolve_schema(image.schema).actions.items()
        if action.principals and action.resources
    }


def _entity_kinds(types: SchemaTypes) -> Mapping[str, EntityKind]:
    maker = FunctionMaker({})
    return {
        full.removeprefix(_PREFIX): EntityKind(
            full=full,
            check=cast(
                "Callable[[object], bool | None]",
                maker.make(Recipe(entity_check(declared, f"check_{n}"), {})),
            ),
            exact=not has_decimals(declared),
            parents=frozenset(types.parents[full]),
        )
        for n, (full, declared) in enumerate(types.entities.items())
        if full.startswith(_PREFIX)
    }


def _nothing(_: Request) -> None:
    """Leave a request to the reference engine."""
