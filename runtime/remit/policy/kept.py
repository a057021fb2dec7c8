"""A compiled image as bytes for a cache: read back without parsing a policy.

`remit.policy.serial` reads an image that comes from elsewhere; this is for bytes that are trusted as the
program is. Still the digest is calculated anew: what decides is what its digest says.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from remit.document.rules import Approve, Redact
from remit.engine.image import PolicyImage, RuleInfo, image_digest
from remit.policy.provenance import policies_text

if TYPE_CHECKING:
    from remit.document.rules import Obligation

_SPEC = "remit/1/kept-image"


def image_to_bytes(image: PolicyImage) -> bytes:
    """Return an image as bytes."""
    rules = [
        (
            rule.id,
            rule.effect,
            rule.because,
            rule.controls,
            [_obligation_row(one) for one in rule.obligations],
            rule.actions,
            rule.pointer,
            rule.origin,
            rule.text,
        )
        for rule in image.rules.values()
    ]
    content = (_SPEC, image.digest, image.schema, image.schema_text, rules)
    return json.dumps(content, separators=(",", ":")).encode()


def image_from_bytes(data: bytes) -> PolicyImage | None:
    """Return the image that `image_to_bytes` got; nothing where the bytes are not such an image.

    Args:
        data: trusted.
    """
    try:
        spec, digest, schema, schema_text, rows = json.loads(data)
        if spec != _SPEC:
            return None
        rules = {row[0]: _rule(row) for row in rows}
        text = policies_text(rule.text for rule in rules.values())
        if image_digest(text, schema) != digest:
            return None
        return PolicyImage(
            policies=text,
            schema=schema,
            schema_text=schema_text,
            rules=MappingProxyType(rules),
            digest=digest,
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None


def _rule(row: list[Any]) -> RuleInfo:
    rule_id, effect, because, controls, obligations, actions, pointer, origin, text = row
    return RuleInfo(
        id=rule_id,
        effect=effect,
        because=because,
        controls=tuple(controls),
        obligations=tuple(_obligation(one) for one in obligations),
        actions=tuple(actions),
        pointer=pointer,
        origin=origin,
        text=text,
    )


def _obligation_row(obligation: Obligation) -> list[object]:
    if isinstance(obligation, Approve):
        return [obligation.by, obligation.within_ms] if obligation.within_ms else [obligation.by]
    return [obligation.arguments, obligation.result]


def _obligation(row: list[Any]) -> Obligation:
    if isinstance(row[0], str):
        return Approve(by=row[0], within_ms=int(row[1]) if len(row) > 1 else 0)
    arguments, result = row
    return Redact(arguments=tuple(arguments), result=tuple(result))
