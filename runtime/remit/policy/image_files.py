"""A policy image as files: in Cedar's own syntax for stock Cedar tools, and where each policy comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remit.document.values import JsonObject
    from remit.engine.image import PolicyImage, RuleInfo


def image_files(image: PolicyImage) -> dict[str, str]:
    """Return the four files of an image by name; the same image gives the same texts."""
    whole: JsonObject = {
        "digest": image.digest,
        "rules": [rule_value(info) for info in image.rules.values()],
    }
    return {
        "policies.cedar": image.policies,
        "schema.cedarschema": image.schema_text,
        "schema.json": json.dumps(image.schema, indent=2, sort_keys=True) + "\n",
        "image.json": json.dumps(whole, indent=2) + "\n",
    }


def rule_value(info: RuleInfo) -> JsonObject:
    """Return the provenance of a policy as a JSON object with stable keys."""
    return {
        "id": info.id,
        "effect": info.effect,
        "because": info.because,
        "controls": [*info.controls],
        "actions": [*info.actions],
        "pointer": info.pointer,
        "origin": info.origin,
        "cedar": info.text,
    }
