"""The policy image: what governance compiles to, as one immutable value with one digest.

It lives beside the engine because the engine is prepared from it; `remit.policy` produces it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.values import JsonObject, canonical_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.rules import Obligation, RuleEffect


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInfo:
    """Provenance of one policy: what the author wrote and where.

    Args:
        id: rule id = Cedar policy id = `@id` annotation.
        effect: permit or forbid.
        because: reason for people.
        controls: outside clauses.
        obligations: what must be fulfilled where the rule applies.
        actions: actions the policy can apply to, sorted (tool names included); empty means any.
        pointer: JSON pointer of the rule in the document; empty for base rules.
        origin: `file:line:column` of the author's text; informative, outside the digest.
        text: the compiled Cedar text of this policy.
    """

    id: str
    effect: RuleEffect
    because: str
    controls: tuple[str, ...]
    obligations: tuple[Obligation, ...]
    actions: tuple[str, ...]
    pointer: str
    origin: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyImage:
    """Compiled governance.

    Args:
        policies: Cedar text of all policies, each with `@id`, in rule order.
        schema: Cedar schema in its JSON form, as an object.
        schema_text: the same schema in Cedar's own syntax, for people and for stock Cedar tools.
        rules: provenance by rule id.
        digest: `sha256:<hex>` over the RFC 8785 form of `{policies, schema, spec}`.
    """

    policies: str
    schema: JsonObject
    schema_text: str
    rules: Mapping[str, RuleInfo]
    digest: str


def image_digest(policies: str, schema: JsonObject) -> str:
    """Digest of a policy image's content."""
    value: JsonObject = {"policies": policies, "schema": schema, "spec": "remit/1/image"}
    return "sha256:" + hashlib.sha256(canonical_bytes(value)).hexdigest()
