"""Put a recorded decision to stock Cedar again, from the files of an evidence bundle; needs `cedarpy` alone.

A copy of this file lies in every bundle, beside `verify.py`, which uses it where `cedarpy` is installed.

Rules
1. What is asked must be what the record and the content that it commits to say was asked.
2. Cedar skips a policy that errs; Remit denies then. So an error in the answer must be recorded as a deny of
   kind `error`, with the same rules and messages.
3. A request that waits for people, or that they refused, is one that Cedar allows once they have agreed.
"""

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# What lies in a bundle is any JSON; a file that is missing or has another form is a `KeyError` or the like.

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import cedarpy

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = Any
"""Any JSON value: what lies in a bundle is read as it is."""

Answer = tuple[str, list[str], list[tuple[str, str]]]
"""Decision, determining rules, and errors as rule and message; both sorted."""

BY_RULES = (
    *("allowed", "awaiting_approval", "approval_refused"),
    *("forbidden", "not_permitted", "error"),
)
"""Kinds of a decision in which rules were asked; the first three are those that Cedar allows."""
_ALLOWED = BY_RULES[:3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """Policies and schema, ready to be asked.

    Args:
        policies: as Cedar loaded them.
        rules: the id of each rule by the name that Cedar gives its policy.
        schema: of requests.
    """

    policies: cedarpy.PolicySet
    rules: dict[str, str]
    schema: cedarpy.Schema


class Decisions:
    """The decisions of one bundle.

    Args:
        files: bytes of the bundle's files by name.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._images: dict[str, Image] = {}

    def decided(self, index: int, body: Json, content: Json) -> bool:
        """Whether Cedar decides the record at `index` as recorded, under the policies that it cites.

        Args:
            index: of the record.
            body: of the record.
            content: what it commits to.

        Raises:
            ValueError, KeyError, TypeError: a file is missing or has another form.
        """
        request, entities, expected = (
            json.loads(self._files[f"decisions/{index}/{name}.json"])
            for name in ("request", "entities", "expected")
        )
        if body["image"] not in self._images:
            self._images[body["image"]] = read_image(self._files, body["image"])
        image = self._images[body["image"]]
        if not asked_as_recorded(request, entities, expected["fulfilled"], body, content):
            return False
        answer = ask(image, request, entities, checked=expected["schema"])
        return answer is not None and holds(body, answer)


def read_image(files: Mapping[str, bytes], digest: str) -> Image:
    """Read the policies and the schema that records cite by `digest`, which is recomputed.

    Raises:
        ValueError: they are others, or do not load.
        KeyError: they are not in the bundle.
    """
    folder = f"images/{digest.removeprefix('sha256:')}"
    policies = files[f"{folder}/policies.cedar"].decode()
    schema = json.loads(files[f"{folder}/schema.json"])
    whole = {"policies": policies, "schema": schema, "spec": "remit/1/image"}
    # RFC 8785 for what a schema holds: objects, texts and truth values, with names in ASCII order.
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if "sha256:" + hashlib.sha256(text.encode()).hexdigest() != digest:
        raise ValueError(f"the policies of image {digest} are not those that records cite")
    return load_image(policies, schema)


def load_image(policies: str, schema: Json) -> Image:
    """Make policies and schema ready to be asked.

    Raises:
        ValueError: a text does not parse, or a policy has no `@id`.
    """
    tree = json.loads(cedarpy.policies_to_json_str(policies))["staticPolicies"]
    try:
        rules = {name: str(policy["annotations"]["id"]) for name, policy in tree.items()}
    except KeyError as error:
        raise ValueError("a policy has no id") from error
    return Image(
        policies=cedarpy.PolicySet.from_str(policies),
        rules=rules,
        schema=cedarpy.Schema.from_json_str(json.dumps(schema)),
    )


def asked_as_recorded(request: Json, entities: Json, fulfilled: Json, body: Json, content: Json) -> bool:
    """Whether the files of a decision ask what its record says (rule 1).

    Args:
        request: principal, action, resource and context, in Cedar's own terms.
        entities: a list, in Cedar's own terms.
        fulfilled: ids of the rules whose obligations counted as fulfilled.
        body: of the record.
        content: of the record.
    """
    named = (body["principal"], f'Remit::Action::"{body["action"]}"', body["resource"])
    if (request["principal"], request["action"], request["resource"]) != named:
        return False
    settled = [item["rule"] for item in body["obligations"] if item["fulfilled"]]
    # People refused: the record names the rules that they were asked for, not all that counted as fulfilled.
    if fulfilled != settled and body["kind"] != "approval_refused":
        return False
    if not same(request["context"], {**content["context"], "fulfilled": fulfilled}):
        return False
    given = {(f"Remit::{item['type']}", item["id"]): item["attributes"] for item in content["entities"]}
    for part in ("principal", "resource"):
        kind, _, name = body[part].partition('::"')
        given[kind, name[:-1]] = content[part]
    uids = [(item["uid"]["type"], item["uid"]["id"]) for item in entities]
    return sorted(uids) == sorted(given) and all(
        same(item["attrs"], given[uid]) for uid, item in zip(uids, entities, strict=True)
    )


def same(cedar: Json, plain: Json) -> bool:
    """Whether a value in Cedar's JSON is the recorded one; what no policy reads may be left out."""
    if isinstance(cedar, dict) and "__entity" in cedar:
        ref = cedar["__entity"]
        return isinstance(plain, dict) and (ref["type"], ref["id"]) == (
            f"Remit::{plain.get('type')}",
            plain.get("id"),
        )
    if isinstance(cedar, dict) and "__extn" in cedar:
        function, text = cedar["__extn"]["fn"], cedar["__extn"]["arg"]
        if function == "decimal":
            return type(plain) in {int, float} and Decimal(text) == Decimal(str(plain))
        if function == "datetime":
            return datetime.fromisoformat(text) == datetime.fromisoformat(plain)
        return bool(text == plain)
    if isinstance(cedar, dict):
        return isinstance(plain, dict) and all(k in plain and same(v, plain[k]) for k, v in cedar.items())
    if isinstance(cedar, list):
        return isinstance(plain, list) and len(cedar) == len(plain) and all(map(same, cedar, plain))
    return type(cedar) is type(plain) and bool(cedar == plain)


def ask(image: Image, request: Json, entities: Json, *, checked: bool) -> Answer | None:
    """Ask Cedar; None where it gives no decision, such as for a request that the schema refuses.

    Args:
        image: policies and schema.
        request: in Cedar's own terms.
        entities: in Cedar's own terms.
        checked: whether Cedar holds the request against the schema.
    """
    try:
        answer = cedarpy.is_authorized(
            request, image.policies, json.dumps(entities), image.schema if checked else None
        )
    except (ValueError, TypeError):
        return None
    decision = answer.decision.value.lower()
    if decision not in {"allow", "deny"}:
        return None
    errors = [_error(message, image.rules) for message in answer.diagnostics.errors]
    return decision, sorted(image.rules[name] for name in answer.diagnostics.reasons), sorted(errors)


def _error(message: str, rules: dict[str, str]) -> tuple[str, str]:
    for name, rule in rules.items():
        start = f"error while evaluating policy `{name}`: "
        if message.startswith(start):
            return rule, message[len(start) :]
    return "", message


def holds(body: Json, answer: Answer) -> bool:
    """Whether Cedar's answer is the recorded one (rules 2 and 3)."""
    decision, reasons, errors = answer
    if body["kind"] != "error":
        wanted = "allow" if body["kind"] in _ALLOWED else "deny"
        return not errors and not body["errors"] and (decision, reasons) == (wanted, body["reasons"])
    recorded = sorted((item["rule"], item["message"]) for item in body["errors"])
    alike = len(errors) == len(recorded) and all(
        # A long message is recorded cut, with a mark.
        mine == theirs or (mine[0] == theirs[0] and mine[1].startswith(theirs[1].removesuffix("…")))
        for mine, theirs in zip(errors, recorded, strict=True)
    )
    denied_by = reasons if decision == "deny" else []
    return bool(errors) and alike and body["verdict"] == "deny" and denied_by == body["reasons"]
