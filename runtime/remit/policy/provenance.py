"""The image put together: everything about a rule is read from its policy's own text.

So whoever holds the policies holds the provenance; only where a rule stood is carried beside them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import cedarpy

from remit.engine.image import PolicyImage, RuleInfo, image_digest
from remit.engine.reads import action_members, policy_actions
from remit.policy.cedar_text import nests_beyond, split_list
from remit.policy.rule_text import read_obligations

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cedarpy import pst

    from remit.document.values import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy of an image with where it came from.

    Args:
        text: its Cedar text, `@id` included.
        pointer: JSON pointer of the rule; empty for base rules.
        origin: `file:line:column` of the author's text; may be empty.
        tree: the text's syntax tree, if it is known; it is parsed where it is not.
    """

    text: str
    pointer: str = ""
    origin: str = ""
    tree: pst.Template | None = None


def parsed_policy(text: str) -> pst.Template:
    """Return the syntax tree of a text that holds exactly one policy.

    Raises:
        ValueError: the text does not parse, nests too deep for the parser, is a template, or holds another
            number of policies.
    """
    if nests_beyond(text):
        raise ValueError("a policy nests too deep")
    tree = cedarpy.PolicySet.from_str(text).to_pst()
    if tree.templates or len(tree.static_policies) != 1:
        raise ValueError("expected exactly one policy")
    return next(iter(tree.static_policies.values()))


def policies_text(texts: Iterable[str]) -> str:
    """Join policies into the text of an image."""
    return "\n\n".join(texts) + "\n"


def build_image(policies: tuple[Policy, ...], schema: JsonObject) -> PolicyImage:
    """Build an image of policies that have passed validation.

    Raises:
        ValueError: a text is not one policy, or has no `@id` of its own.
    """
    members = action_members(schema)
    rules: dict[str, RuleInfo] = {}
    for policy in policies:
        tree = policy.tree or parsed_policy(policy.text)
        rule_id = tree.annotations.get("id", "")
        if not rule_id or rule_id in rules:
            raise ValueError(f"rule id missing or repeated: `{rule_id}`")
        actions = policy_actions(tree, members)
        rules[rule_id] = RuleInfo(
            id=rule_id,
            effect=tree.effect,
            because=tree.annotations.get("because", ""),
            controls=split_list(tree.annotations.get("controls", "")),
            obligations=read_obligations(tree.annotations),
            actions=() if actions == frozenset(members) else tuple(sorted(actions)),
            pointer=policy.pointer,
            origin=policy.origin,
            text=policy.text,
        )
    text = policies_text(policy.text for policy in policies)
    return PolicyImage(
        policies=text,
        schema=schema,
        schema_text=schema_text(schema),
        rules=MappingProxyType(rules),
        digest=image_digest(text, schema),
    )


def schema_text(schema: JsonObject) -> str:
    """Write a schema in Cedar's own syntax, one action or type after the other.

    Raises:
        ValueError: it is no schema.
    """
    return str(cedarpy.Schema.from_json_str(json.dumps(schema))).strip() + "\n"
