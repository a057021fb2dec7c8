"""Plain Cedar policies, decided by Cedar itself and by nothing of Remit's.

Rules
1. A policy is called by its `@id`, else by its position over all files: `policy0`, `policy1`, ….
2. The decision is Cedar's own: a policy that errs is skipped, and the error is told beside the decision.
3. Policies are validated strictly where there is a schema; whether they must be valid is the suite's to say.
4. What Cedar cannot be asked (a request or an entity that the schema does not admit) is a deny of kind
   `error` that says so.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import cedarpy
from cedarpy import pst

from remit.engine.request import Decision, PolicyFailure
from remit.engine.statements import check_nesting, scan_statements
from remit.errors import Fault, FaultsError, PolicyError
from remit.project.answers import Verdict
from remit.project.source import read_text
from remit.workbench.suites.plain import read_reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from remit.document.values import JsonObject
    from remit.engine.request import Kind
    from remit.workbench.suites.model import CedarQuestion, CedarRef, CedarSubject

_BEFORE_POLICY = re.compile(r"(?:\s|//[^\n]*)*")
_POLICY_ERROR = re.compile(r"error while evaluating policy `(?P<policy>.*?)`: (?P<why>.*)", re.DOTALL)


class CedarWorld:
    """Decide requests under plain policies.

    Args:
        subject: the files.

    Raises:
        DocumentError: a file cannot be read.
        PolicyError: policies, schema or entities do not load, or are not as valid as the suite says.
    """

    def __init__(self, subject: CedarSubject) -> None:
        self.subject = subject
        texts = [_text(path) for path in subject.policies]
        self.text = "\n".join(texts)
        self.name = f"cedar {importlib.metadata.version('cedarpy')}"
        self._digest = "sha256:" + hashlib.sha256(self.text.encode()).hexdigest()
        label = ", ".join(path.as_posix() for path in subject.policies)
        self._policies, self.rules, ids = _load(self.text, label, by_position=subject.by_position)
        self._places = dict(zip(ids, _places(subject.policies, texts), strict=False))
        self._schema = None if subject.schema is None else _schema(subject.schema)
        self._validate(label)
        self._entities: dict[str, cedarpy.Entities] = {}
        self._handle(())

    def decide(self, question: CedarQuestion) -> Verdict:
        """Answer one request as Cedar does."""
        try:
            entities = self._handle(question.entities)
            answer = cedarpy.is_authorized(  # pyright: ignore[reportUnknownMemberType]  # cedarpy's `dict` lacks its types
                {
                    "principal": question.principal.to_json(),
                    "action": question.action.to_json(),
                    "resource": question.resource.to_json(),
                    "context": json.dumps(question.context),
                },
                self._policies,
                entities,
                self._schema if question.validate else None,
            )
        except (ValueError, TypeError, PolicyError) as error:
            return self._verdict("error", (), (PolicyFailure(rule="", message=str(error)),), allow=False)
        reasons = tuple(sorted(self.rules.get(name, name) for name in answer.diagnostics.reasons))
        failures = tuple(
            sorted((self._failure(text) for text in answer.diagnostics.errors), key=lambda f: f.rule)
        )
        if answer.decision is cedarpy.Decision.NoDecision:
            return self._verdict(
                "error", (), failures or (PolicyFailure(rule="", message="no decision"),), allow=False
            )
        allow = answer.decision is cedarpy.Decision.Allow
        kind: Kind = "allowed" if allow else "forbidden" if reasons else "not_permitted"
        return self._verdict("error" if failures and not allow else kind, reasons, failures, allow=allow)

    def tree(self) -> tuple[pst.Template, ...]:
        """Return the policies as syntax trees; nothing where they are deeper than trees can hold."""
        try:
            return tuple(self._policies.to_pst().static_policies.values())
        except ValueError:
            return ()

    def place(self, rule: str) -> str:
        """Return `file:line:column` of a policy; empty where it is not known."""
        return self._places.get(rule, "")

    def knows(self, reference: CedarRef, extra: tuple[JsonObject, ...] = ()) -> bool:
        """Return whether an entity is among those of the suite or of the request."""
        return any(read_reference(item.get("uid")) == reference for item in (*self.subject.entities, *extra))

    def _failure(self, message: str) -> PolicyFailure:
        match = _POLICY_ERROR.fullmatch(message)
        if match is None:
            return PolicyFailure(rule="", message=message)
        return PolicyFailure(rule=self.rules.get(match["policy"], match["policy"]), message=match["why"])

    def _verdict(
        self, kind: Kind, reasons: tuple[str, ...], errors: tuple[PolicyFailure, ...], *, allow: bool
    ) -> Verdict:
        decision = Decision(
            verdict="allow" if allow else "deny",
            kind=kind,
            reasons=reasons,
            errors=errors,
            engine=self.name,
            image=self._digest,
        )
        told = tuple(f"{error.rule}: {error.message}" if error.rule else error.message for error in errors)
        return Verdict(
            decision=decision.verdict,
            kind=kind,
            rules=reasons,
            because=(),
            errors=told,
            by=(),
            engine=decision,
        )

    def _handle(self, extra: tuple[JsonObject, ...]) -> cedarpy.Entities:
        """Return the suite's entities with those of one request laid over them."""
        own = {_uid(item): item for item in self.subject.entities}
        own |= {_uid(item): item for item in extra}
        text = json.dumps(list(own.values()))
        known = self._entities.get(text)
        if known is None:
            try:
                known = cedarpy.Entities.from_json_str(text, self._schema)  # pyright: ignore[reportUnknownMemberType]  # see above
            except ValueError as error:
                raise PolicyError(
                    Fault(message=f"the entities do not load: {error}", hint="compare them with the schema")
                ) from error
            self._entities[text] = known
        return known

    def _validate(self, label: str) -> None:
        if self._schema is None or self.subject.validate is None:
            return
        result = cedarpy.validate_policies(self.text, self._schema)  # pyright: ignore[reportUnknownMemberType]  # cedarpy leaves a dict bare
        if result.validation_passed and not self.subject.validate:
            raise PolicyError(
                Fault(
                    message="the policies are valid, and should not be",
                    file=label,
                    hint="write `validate: true`",
                )
            )
        if not result.validation_passed and self.subject.validate:
            hint = "correct the policy or the schema, or write `validate: false`"
            raise PolicyError(
                *(
                    Fault(message=f"the policies are not valid: {error.error}", file=label, hint=hint)
                    for error in result.errors
                )
            )


def _text(path: Path) -> str:
    return read_text(path.parent, path.name).text


def _uid(entity: JsonObject) -> str:
    reference = read_reference(entity.get("uid"))
    return json.dumps(entity.get("uid")) if reference is None else str(reference)


def _places(files: Sequence[Path], texts: Sequence[str]) -> Iterator[str]:
    """Yield where each policy begins, behind the comments before it."""
    for path, text in zip(files, texts, strict=True):
        for statement in scan_statements(text):
            start = _BEFORE_POLICY.match(text, statement.start, statement.end)
            before = text[: statement.start if start is None else start.end()]
            yield f"{path.as_posix()}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def _load(
    text: str, label: str, *, by_position: bool
) -> tuple[cedarpy.PolicySet, dict[str, str], tuple[str, ...]]:
    """Return the policies, what each id that Cedar reports is called (rule 1), and all of these in order."""
    try:
        check_nesting(text)
        whole = cedarpy.PolicySet.from_str(text)
    except FaultsError as error:
        raise PolicyError(*(replace(fault, file=label) for fault in error.faults)) from error
    except ValueError as error:
        raise PolicyError(
            Fault(
                message=f"the policies do not parse: {error}", file=label, hint="compare with Cedar's grammar"
            )
        ) from error
    try:
        tree = whole.to_pst()
    except ValueError:
        # Deeper than the binding's syntax tree holds: ids are found without it, or stay positions.
        ids = [statement.id for statement in scan_statements(text)]
        if by_position:
            ids = [""] * len(ids)
        called = {f"policy{number}": name or f"policy{number}" for number, name in enumerate(ids)}
        return whole, called, tuple(called.values())
    named = {
        name: name if by_position else policy.annotations.get("id") or name
        for name, policy in tree.static_policies.items()
    }
    if len(set(named.values())) < len(named):
        twice = sorted({name for name in named.values() if list(named.values()).count(name) > 1})
        message = f"the policy id `{twice[0]}` is used twice"
        raise PolicyError(Fault(message=message, file=label, hint="give each policy an `@id` of its own"))
    own = {new: replace(tree.static_policies[old], id=new) for old, new in named.items()}
    renamed = replace(tree, static_policies=pst.FrozenMap(own))
    count = len(tree.static_policies) + len(tree.templates)
    ordered = tuple(named.get(f"policy{number}", "") for number in range(count))
    return cedarpy.PolicySet.from_pst(renamed), {name: name for name in own}, ordered


def _schema(path: Path) -> cedarpy.Schema:
    text = _text(path)
    try:
        # No text of Cedar's own schema syntax begins with a brace; old files of JSON are not called `.json`.
        if path.suffix == ".json" or text.lstrip().startswith("{"):
            return cedarpy.Schema.from_json_str(text)
        return cedarpy.Schema.from_str(text)
    except ValueError as error:
        cause = " ".join(str(error).split())
        raise PolicyError(
            Fault(
                message=f"the schema does not load: {cause}",
                file=path.as_posix(),
                hint="compare with Cedar's schema syntax",
            )
        ) from error
