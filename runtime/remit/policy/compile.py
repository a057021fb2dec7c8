"""Governance to policy image: every rule of a document as validated Cedar.

Rules
1. The image holds the base rules, then the document's: governance, capabilities, memory, in document order.
2. Same document, same image, on any machine: nothing but the document and the base files goes in.
3. Every policy has an id of its own; ids of the document never start with `remit.`.
4. Plain Cedar without `@id` is named after its place and its number there, from 1.
5. Every policy is parsed alone, so that nothing in one rule can reach into another, and validated strictly.
6. All faults are reported at once, in document order, at the author's position.
7. A rule of `mode: shadow` is checked as any other and left out of the image; `compile_shadows` puts each
   of them beside the enforced ones.
8. A document without a rule of its own is refused: it would permit nothing, and surely nobody meant that.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import cedarpy

from remit.document.rules import Redact
from remit.engine.reads import policy_actions
from remit.errors import Fault, PolicyError
from remit.policy.base import POLICY_FILE, base_policy_text
from remit.policy.cedar_text import PolicyText, masked, nests_beyond, quoted, split_policies
from remit.policy.diagnostics import TOO_DEEP, Finding, syntax_finding, type_findings
from remit.policy.image_schema import document_schema
from remit.policy.lint import lint_findings
from remit.policy.origins import Origin, Origins, fault_at, nearest
from remit.policy.provenance import Policy, build_image, parsed_policy, policies_text
from remit.policy.rule_text import Place, places, read_obligations, release_clause, structured_text
from remit.policy.vocabulary import Vocabulary, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cedarpy import pst

    from remit.document.model import Document
    from remit.document.rules import Rule, RuleEffect
    from remit.document.values import JsonObject
    from remit.engine.image import PolicyImage

BASE_PREFIX = "remit."
_NO_ORIGINS: Origins = MappingProxyType({})
_ID = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_ORDER = (
    *("governance", "capabilities", "memory"),
    *("attributes", "caller", "environment", "activation", "mutation", "termination"),
    *("tools", "dispatch", "blocks", "name", "parameters", "rules"),
    *("id", "effect", "on", "when", "unless", "cedar"),
)
_ESCAPED = Finding(
    message="an expression closes a bracket that it did not open",
    hint="write one expression here, without clauses",
    patterns=(r"\}",),
)
_SCOPE_ONLY = "permit(principal, action, resource)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A piece of the author's text that a policy was made from: `text` is the whole member at `pointer`."""

    pointer: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A policy that parsed, on its way into the image."""

    id: str
    text: str
    template: pst.Template
    pointer: str
    sources: tuple[_Source, ...]


def compile_governance(
    document: Document,
    *,
    origins: Mapping[str, Origin] = _NO_ORIGINS,
    progress: Callable[[int, int], None] | None = None,
) -> PolicyImage:
    """Compile all rules of a document into one policy image.

    Args:
        document: the agent.
        origins: where the author wrote the members of the document, by JSON pointer.
        progress: called for each rule with its number and how many there are.

    Raises:
        PolicyError: a rule does not parse or validate, ids clash, a schema has no Cedar type, or there is
            no rule at all; lists every fault found.
    """
    return _Compilation(document, origins, progress).run()


def compile_shadows(
    document: Document, *, origins: Mapping[str, Origin] = _NO_ORIGINS
) -> Mapping[str, PolicyImage]:
    """Compile, for each rule of `mode: shadow`, all enforced rules and that one, by rule id.

    Each stands alone beside the enforced ones, so that one shadow rule never hides what another would do.

    Raises:
        PolicyError: as `compile_governance`.
    """
    return _Compilation(document, origins, None).shadows()


def has_shadow_rules(document: Document) -> bool:
    """Say whether a document may hold rules that are only watched; quick, and never wrongly no."""
    rules = (rule for place in places(document) for rule in place.rules)
    return any(rule.mode == "shadow" or (rule.cedar is not None and "@mode" in rule.cedar) for rule in rules)


class _Compilation:
    def __init__(
        self, document: Document, origins: Origins, progress: Callable[[int, int], None] | None
    ) -> None:
        self._origins = origins
        self._progress = progress
        self._done = 0
        self._faults: list[Fault] = []
        self._places = places(document)
        self._schema, schema_faults = document_schema(document, origins)
        self._vocabulary = Vocabulary(self._schema)
        self._declared: Mapping[str, tuple[str, ...]] = {
            "Tool": tuple(tool.name for tool in document.capabilities.tools),
            "Backend": tuple(backend.name for backend in document.capabilities.backends),
            "Block": tuple(block.name for block in document.memory.blocks),
        }
        self._arguments = {
            tool.name: tuple(cast("JsonObject", tool.parameters.get("properties") or {}))
            for tool in document.capabilities.tools
            if tool.parameters.get("additionalProperties") is False
        }
        self._faults.extend(schema_faults)
        tools = tuple(tool.name for tool in document.capabilities.tools)
        self._unsure = _unsure_tools(schema_faults, tools)

    def run(self) -> PolicyImage:
        own = self._drafts()
        return self._image(draft for draft in own if not _watched(draft))

    def shadows(self) -> Mapping[str, PolicyImage]:
        own = self._drafts()
        return {
            watched.id: self._image(draft for draft in own if draft is watched or not _watched(draft))
            for watched in own
            if _watched(watched)
        }

    def _image(self, drafts: Iterable[_Draft]) -> PolicyImage:
        return build_image((*_base_policies(), *(self._policy(draft) for draft in drafts)), self._schema)

    def _drafts(self) -> tuple[_Draft, ...]:
        own = tuple(draft for place in self._places for draft in self._place_drafts(place))
        if own and all(_watched(draft) for draft in own):
            self._fault(
                "/governance",
                "all rules of governance are `mode: shadow`: nothing would ever be permitted",
                hint="enforce at least one rule",
            )
        if not own and not any(place.rules for place in self._places):
            self._fault(
                "/governance",
                "governance has no rule of its own: nothing would ever be permitted",
                hint="write at least one rule, such as a permit under `activation`",
            )
        self._check_ids(own)
        if self._unsure is not None:
            unsure = self._unsure
            self._validate(
                tuple(
                    draft
                    for draft in own
                    if unsure.isdisjoint(policy_actions(draft.template, self._vocabulary.members))
                )
            )
        if self._faults:
            raise PolicyError(*sorted(dict.fromkeys(self._faults), key=_document_order))
        return own

    def _policy(self, draft: _Draft) -> Policy:
        origin = nearest(self._origins, draft.pointer)
        source = draft.sources[0] if draft.sources else None
        exact = self._origins.get(source.pointer) if source is not None else None
        if source is not None and source.pointer.endswith("/cedar") and exact is not None:
            origin = exact.at(source.text, source.start)
        return Policy(
            text=draft.text,
            pointer=draft.pointer,
            origin=str(origin) if origin else "",
            tree=draft.template,
        )

    def _place_drafts(self, place: Place) -> Iterator[_Draft]:
        number = 0
        for index, rule in enumerate(place.rules):
            self._tell_progress()
            pointer = f"{place.pointer}/{index}"
            if rule.cedar is not None:
                for piece in self._pieces(rule.cedar, f"{pointer}/cedar"):
                    number += 1
                    source = _Source(
                        pointer=f"{pointer}/cedar",
                        text=rule.cedar,
                        start=piece.offset,
                        end=piece.offset + len(piece.text),
                    )
                    draft = self._plain(piece, rule, f"{place.name}-{number}", pointer, source)
                    if draft is not None:
                        yield draft
            else:
                number += 1
                draft = self._structured(rule, place, rule.id or f"{place.name}-{number}", pointer)
                if draft is not None:
                    yield draft

    def _tell_progress(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, sum(len(place.rules) for place in self._places))

    def _pieces(self, text: str, pointer: str) -> tuple[PolicyText, ...]:
        pieces = split_policies(text)
        if not pieces:
            self._fault(pointer, "no policy in this Cedar text", hint="write one, or leave the rule out")
        return pieces

    def _plain(
        self, piece: PolicyText, rule: Rule, default_id: str, pointer: str, source: _Source
    ) -> _Draft | None:
        template = self._parsed(piece.text, (source,))
        if template is None:
            return None
        rule_id = template.annotations.get("id") or rule.id or default_id
        mode = template.annotations.get("mode", "enforce")
        if mode not in ("enforce", "shadow"):
            finding = Finding(
                message=f"`@mode` is `{mode}`: it is `enforce` or `shadow`", patterns=(r"@mode\b",)
            )
            self._found(finding, (source,))
        text = piece.text
        if not template.annotations.get("id"):
            text = f"@id({quoted(rule_id)})\n{_without_empty_id(text)}"
        try:
            obligations = read_obligations(template.annotations)
        except ValueError as error:
            self._found(Finding(message=str(error), patterns=(r"@approve_within\b",)), (source,))
            obligations = ()
        if template.effect == "forbid" and obligations:
            text = f"{text[:-1].rstrip(' ')}\n{release_clause(rule_id)};"
        draft = _reparsed(rule_id, text, pointer, (source,))
        self._check_id(rule_id, pointer, source)
        return draft

    def _structured(self, rule: Rule, place: Place, rule_id: str, pointer: str) -> _Draft | None:
        effect = rule.effect or place.effect
        on = self._actions(rule, place, pointer)
        sources = tuple(
            _Source(pointer=f"{pointer}/{name}", text=text, start=0, end=len(text))
            for name, text in (("when", rule.when), ("unless", rule.unless))
            if text is not None
        )
        draft = None
        if effect is not None and on:
            text = _policy_of(rule, rule_id, effect, on, place)
            draft = _as_meant(rule, rule_id, text, pointer, sources)
        # Only where something is wrong is it looked for in each clause.
        sound = [] if draft is not None else [self._sound_clause(source) for source in sources]
        if effect is None:
            self._fault(
                pointer, "a rule here needs an effect", hint="write `effect: permit` or `effect: forbid`"
            )
        self._check_id(rule_id, f"{pointer}/id", None)
        if effect is None or not on or not all(sound):
            return None
        self._check_redactions(rule, on, pointer)
        return draft or _reparsed(rule_id, _policy_of(rule, rule_id, effect, on, place), pointer, sources)

    def _check_redactions(self, rule: Rule, on: tuple[str, ...], pointer: str) -> None:
        """Refuse to mask an argument that nothing the rule is about has: it would stay readable."""
        if not on or not all(name in self._arguments for name in on):
            # About more than tools, or about one that takes what it does not declare.
            return
        known = sorted({argument for name in on for argument in self._arguments[name]})
        for number, obligation in enumerate(rule.obligations):
            for name in obligation.arguments if isinstance(obligation, Redact) else ():
                if name not in known:
                    cause = suggestion(name, known) or "there is none"
                    self._fault(
                        f"{pointer}/obligations/{number}/redact/arguments",
                        f"no argument to mask is called `{name}`: {cause}",
                        hint="name an argument of the tools that the rule is about",
                    )

    def _actions(self, rule: Rule, place: Place, pointer: str) -> tuple[str, ...]:
        if not rule.on:
            if not place.default:
                self._fault(
                    pointer, "a rule here must name its actions", hint="write `on: [dispatch]` or the like"
                )
            return place.default
        named: list[str] = []
        for index, action in enumerate(rule.on):
            where = f"{pointer}/on/{index}"
            if place.actions and action not in place.actions:
                fitting = ", ".join(f"`{name}`" for name in place.actions)
                self._fault(
                    where,
                    f"action `{action}` does not fit here: rules at `{place.pointer}` are about {fitting}",
                    hint="move the rule to `governance.rules`",
                )
            elif action not in self._vocabulary.actions:
                self._fault(
                    where, f"unknown action `{action}`: {suggestion(action, self._vocabulary.actions)}"
                )
            elif action in named:
                self._fault(where, f"action `{action}` is named twice")
            else:
                named.append(action)
        return tuple(named) if len(named) == len(rule.on) else ()

    def _sound_clause(self, source: _Source) -> bool:
        """Parse one expression alone: a bracket or comment in it must not reach beyond it."""
        template = self._parsed(f"{_SCOPE_ONLY} when {{\n{source.text}\n}};", (source,))
        if template is None:
            return False
        if len(template.clauses) != 1:
            self._found(_ESCAPED, (source,))
            return False
        return True

    def _parsed(self, text: str, sources: tuple[_Source, ...]) -> pst.Template | None:
        if nests_beyond(text):
            self._found(TOO_DEEP, sources)
            return None
        try:
            tree = cedarpy.PolicySet.from_str(text).to_pst()
        except ValueError as error:
            code = masked(sources[0].text[sources[0].start : sources[0].end])
            self._found(syntax_finding(str(error), code), sources)
            return None
        if tree.templates:
            finding = Finding(
                message="a template is no rule: nothing here links it",
                hint="name the principal and resource instead of `?principal` and `?resource`",
                patterns=(r"\?(?:principal|resource)\b",),
            )
            self._found(finding, sources)
            return None
        if len(tree.static_policies) != 1:
            self._found(_ESCAPED, sources)
            return None
        return next(iter(tree.static_policies.values()))

    def _check_id(self, rule_id: str, pointer: str, source: _Source | None) -> None:
        patterns = (re.escape(quoted(rule_id)),)
        if rule_id.startswith(BASE_PREFIX):
            finding = Finding(
                message=f"rule id `{rule_id}` is reserved: `{BASE_PREFIX}…` names base rules",
                hint="choose another id",
                patterns=patterns,
            )
        elif not _ID.fullmatch(rule_id):
            finding = Finding(
                message="a rule id must have 1 to 128 characters and no control characters", patterns=patterns
            )
        else:
            return
        if source is None:
            self._fault(pointer, finding.message, hint=finding.hint)
        else:
            self._found(finding, (source,))

    def _check_ids(self, drafts: tuple[_Draft, ...]) -> None:
        first: dict[str, _Draft] = {}
        for draft in drafts:
            earlier = first.setdefault(draft.id, draft)
            if earlier is draft:
                continue
            place = nearest(self._origins, earlier.pointer)
            finding = Finding(
                message=f"rule id `{draft.id}` stands twice: first at `{place or earlier.pointer}`",
                hint="give every rule an id of its own",
                patterns=(re.escape(quoted(draft.id)),),
            )
            plain = bool(draft.sources) and draft.sources[0].pointer.endswith("/cedar")
            if plain:
                self._found(finding, draft.sources)
            else:
                self._fault(f"{draft.pointer}/id", finding.message, hint=finding.hint)

    def _validate(self, drafts: tuple[_Draft, ...]) -> None:
        schema = cedarpy.Schema.from_json_str(json.dumps(self._schema))
        messages = _messages(tuple(draft.text for draft in drafts), schema)
        for index, draft in enumerate(drafts):
            actions = policy_actions(draft.template, self._vocabulary.members)
            wrong = messages.get(index, ())
            if wrong:
                code = masked("\n".join(source.text[source.start : source.end] for source in draft.sources))
                for finding in type_findings(wrong, code, self._vocabulary, actions):
                    self._found(finding, draft.sources or None, draft.pointer)
                continue
            for finding in lint_findings(draft.template, self._vocabulary, self._declared, actions):
                self._found(finding, draft.sources or None, draft.pointer)

    def _found(self, finding: Finding, sources: tuple[_Source, ...] | None, pointer: str = "") -> None:
        """Report a finding at the token it is about, else at the start of the rule."""
        if not sources:
            self._fault(pointer, finding.message, hint=finding.hint)
            return
        for pattern in finding.patterns:
            for source in sources:
                own = source.text[source.start : source.end]
                match = re.search(pattern, masked(own)) or re.search(pattern, own)
                if match:
                    at = match.start("token") if "token" in match.re.groupindex else match.start()
                    self._fault(
                        source.pointer,
                        finding.message,
                        hint=finding.hint,
                        source=source,
                        offset=source.start + at,
                    )
                    return
        source = sources[0]
        self._fault(source.pointer, finding.message, hint=finding.hint, source=source, offset=source.start)

    def _fault(
        self, pointer: str, message: str, *, hint: str = "", source: _Source | None = None, offset: int = 0
    ) -> None:
        text = source.text if source is not None else None
        self._faults.append(fault_at(self._origins, pointer, message, hint=hint, text=text, offset=offset))


def _watched(draft: _Draft) -> bool:
    return draft.template.annotations.get("mode") == "shadow"


def _policy_of(rule: Rule, rule_id: str, effect: RuleEffect, on: tuple[str, ...], place: Place) -> str:
    return structured_text(rule, rule_id=rule_id, effect=effect, on=on, resource=place.resource)


def _unsure_tools(faults: tuple[Fault, ...], tools: tuple[str, ...]) -> frozenset[str] | None:
    """Return the tools whose arguments are not known for sure; None where more than tools is at fault.

    A rule about them is not validated: what it would be told follows from the schema's own fault.
    """
    unsure: set[str] = set()
    for fault in faults:
        match = re.match(r"/capabilities/tools/(\d+)(?:/|$)", fault.pointer)
        if match is None:
            return None
        unsure.add(tools[int(match[1])])
    return frozenset(unsure)


def _document_order(fault: Fault) -> tuple[tuple[tuple[int, str], ...], int, int]:
    steps = fault.pointer.split("/")[1:]
    parts = tuple(
        (int(step), "") if step.isdecimal() else (_ORDER.index(step) if step in _ORDER else len(_ORDER), step)
        for step in steps
    )
    return parts, fault.line, fault.column


def _without_empty_id(text: str) -> str:
    return re.sub(r'@id(?:\s*\(\s*""\s*\))?(?!\w)\s*', "", text, count=1) if "@id" in masked(text) else text


def _reparsed(rule_id: str, text: str, pointer: str, sources: tuple[_Source, ...]) -> _Draft:
    return _Draft(id=rule_id, text=text, template=parsed_policy(text), pointer=pointer, sources=sources)


def _as_meant(
    rule: Rule, rule_id: str, text: str, pointer: str, sources: tuple[_Source, ...]
) -> _Draft | None:
    """Return the draft of a structured rule whose text reads as it was put together, or nothing.

    INVARIANT (rule 5): a clause stands between brackets and line ends of its own, and nothing in a text can
    take another's clause away; so if there is one policy with as many clauses as were written, no text
    reaches beyond its own.
    """
    clauses = len(sources) + (text.endswith(release_clause(rule_id) + ";") and bool(rule.obligations))
    try:
        template = parsed_policy(text)
    except ValueError:
        return None
    if len(template.clauses) != clauses:
        return None
    return _Draft(id=rule_id, text=text, template=template, pointer=pointer, sources=sources)


def _base_policies() -> Iterator[Policy]:
    text = base_policy_text()
    start = Origin(file=f"policies/{POLICY_FILE}", line=1, column=1)
    for piece in split_policies(text):
        yield Policy(text=piece.text, origin=str(start.at(text, piece.offset)))


def _messages(texts: tuple[str, ...], schema: cedarpy.Schema) -> Mapping[int, tuple[str, ...]]:
    """Return the validator's messages by position of the policy, without the policy's name."""
    found: dict[int, list[str]] = {}
    result = cedarpy.validate_policies(policies_text(texts), schema)  # pyright: ignore[reportUnknownMemberType]  # cedarpy leaves a dict bare
    for error in result.errors:
        match = re.fullmatch(r"policy(\d+)", error.policy_id)
        if match is None:
            # INVARIANT (each policy parsed alone): only the schema itself could be at fault here.
            raise PolicyError(Fault(message=f"governance does not validate: {error.error}"))
        text = re.sub(r"^for policy `policy\d+`, ", "", error.error)
        found.setdefault(int(match[1]), []).append(text)
    return {index: tuple(messages) for index, messages in found.items()}
