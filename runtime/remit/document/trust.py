"""Trust policies: whose signature each field of a document needs, as a file that the verifier keeps.

    keys:
      compliance-1: {file: compliance-1.pub.pem}
      compliance-2: {file: compliance-2.pub.pem, not_after: "2027-01-01T00:00:00.000Z"}
      platform: {file: platform.pub.pem}
    fields:
      governance: {threshold: 2, keys: [compliance-1, compliance-2]}
      capabilities: {keys: [platform, compliance-1]}

Rules
1. A field is trusted where `threshold` different keys of those listed have signed a revision in which the
   field's digest is what it is; a signature covers the manifest, which holds the digest of every field.
2. `identity` stands for the revision as a whole: exactly this one must be signed. Of a head that moved on
   from it, its keys must have signed what only an amendment changes.
3. A policy names at least one key and one field; a field names keys of the policy alone, and no fewer than
   its threshold. Whatever else stands in the file is refused with its position.
4. A signature that does not verify, is not valid at the time, or, unless the policy ignores those, is by a
   key that the policy does not know, refuses the document.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from remit.document.carriers import read_value
from remit.document.faults import SHAPES, TIME, FaultLog, Members, nearest
from remit.document.json_text import printable
from remit.document.model import FIELD_NAMES
from remit.document.signing import TrustPolicy, public_key_from_pem, verify_document_signatures
from remit.document.values import pointer_to
from remit.errors import DocumentError, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from remit.document.carriers import Format
    from remit.document.model import Document

WHOLE = "identity"
"""The name of the rule about the revision as a whole."""

FIELDS = (*FIELD_NAMES, WHOLE)
SETTLED = ("governance", "capabilities")
"""The fields that only an amendment changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRule:
    """Who must have signed a field.

    Args:
        field: one of `FIELDS`.
        keys: names of the keys that count.
        threshold: how many different ones are needed.
    """

    field: str
    keys: tuple[str, ...]
    threshold: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRules:
    """A trust policy.

    Args:
        policy: the keys, when they are valid, and what becomes of foreign signatures.
        rules: one a field.
    """

    policy: TrustPolicy
    rules: tuple[FieldRule, ...]

    def __post_init__(self) -> None:
        if not self.rules:
            # An empty "all of" would trust everything.
            raise ValueError("a trust policy says of at least one field who must sign it")

    def settled(self) -> tuple[FieldRule, ...]:
        """Return the rules about fields that only an amendment changes, which a moving head must keep to.

        A rule about the revision as a whole is one about each of them.
        Empty where the policy says nothing of them: then they must stay as they were opened.
        """
        return tuple(
            replace(rule, field=name)
            for rule in self.rules
            for name in SETTLED
            if rule.field in (name, WHOLE)
        )


def read_trust(
    data: bytes,
    *,
    format: Format,  # noqa: A002  # the name of the seam
    file: str,
    read_key: Callable[[str], bytes],
) -> TrustRules:
    """Read a trust policy.

    Args:
        data: the file as it lies there.
        format: its carrier.
        file: its name, for faults.
        read_key: gives the bytes of a key file that the policy names.

    Raises:
        DocumentError: it is none; every fault is listed with its place.
    """
    parsed = read_value(data, format=format, file=file)
    if not isinstance(parsed.value, dict) or not {"keys", "fields"} & set(parsed.value):
        raise DocumentError(
            Fault(
                message=f"`{printable(file)}` is no key and no trust policy",
                file=file,
                hint="a policy has the members `keys` and `fields`",
            )
        )
    log = FaultLog(parsed)
    whole = Members(parsed.value, "", log, extensions=False)
    keys: dict[str, bytes] = {}
    starts: dict[str, str] = {}
    ends: dict[str, str] = {}
    listed = whole.object("keys")
    for name, value in listed.items():
        pointer = pointer_to("/keys", name)
        key = Members(value, pointer, log, extensions=False)
        label = key.text("file")
        for member, times in (("not_before", starts), ("not_after", ends)):
            time = key.text(member, required=False, shape=TIME)
            if time:
                times[name] = time
        key.close()
        raw = _public_key(label, pointer, read_key, log) if label else None
        if raw is not None:
            keys[name] = raw
    if "keys" in whole.value and not listed:
        whole.wrong("keys", "names no key", hint="list at least one as `NAME: {file: NAME.pub.pem}`")
    rules = _field_rules(whole, tuple(listed), log)
    foreign = whole.boolean("ignore_foreign")
    whole.close()
    log.refuse()
    policy = TrustPolicy(keys=keys, not_before=starts, not_after=ends, ignore_foreign=foreign)
    return TrustRules(policy=policy, rules=rules)


def _public_key(label: str, pointer: str, read_key: Callable[[str], bytes], log: FaultLog) -> bytes | None:
    place = pointer_to(pointer, "file")
    try:
        return public_key_from_pem(read_key(label))
    except DocumentError as error:
        log.add(place, f"`{printable(label)}` is no key to believe: {error}")
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        log.add(
            place, f"`{printable(label)}` cannot be read: {cause}", hint="name it from the policy's folder"
        )
    return None


def _field_rules(whole: Members, known: Sequence[str], log: FaultLog) -> tuple[FieldRule, ...]:
    rules: list[FieldRule] = []
    listed = whole.object("fields")
    if "fields" in whole.value and not listed:
        whole.wrong("fields", "names no field", hint="an empty list would trust everything")
    for name, value in listed.items():
        pointer = pointer_to("/fields", name)
        if name not in FIELDS:
            log.add(
                pointer,
                f"`{printable(name)}` is no field of a document",
                hint=nearest(name, FIELDS) or f"use one of {', '.join(FIELDS)}",
                at_name=True,
            )
            continue
        rule = Members(value, pointer, log, extensions=False)
        keys = rule.texts("keys", required=True)
        for index, key in enumerate(keys):
            if key not in known:
                hint = nearest(key, known) or "declare it under `keys`"
                log.add(
                    pointer_to(f"{pointer}/keys", index), f"no key is called `{printable(key)}`", hint=hint
                )
        threshold = rule.integer("threshold", default=1, minimum=1)
        if rule.is_object and threshold > len(keys):
            rule.wrong("threshold", f"is {threshold}, but {len(keys)} keys are listed", "list more keys")
        rule.close()
        rules.append(FieldRule(field=name, keys=keys, threshold=threshold))
    return tuple(rules)


def check_trust(
    document: Document,
    trust: TrustRules,
    *,
    now: str,
    signed: Sequence[Document] = (),
    rules: Sequence[FieldRule] | None = None,
) -> Mapping[str, tuple[str, ...]]:
    """Require that every field is signed as the policy says.

    Args:
        document: a parsed document.
        trust: the verifier's policy.
        now: RFC 3339 UTC time with milliseconds, for the keys' validity.
        signed: other revisions of the agent whose signatures count for fields that they share.
        rules: the rules to check, at least one; all where None.

    Returns:
        By field, the names of the keys that signed it, sorted.

    Raises:
        DocumentError: a signature is wrong, or a field lacks signatures; every such field is named.
        ValueError: there is no rule to check.
    """
    if rules is not None and not rules:
        # As above: nothing asked for is nothing proven.
        raise ValueError("a document is checked against at least one rule")
    if TIME.fullmatch(now) is None:
        raise DocumentError(Fault(message=f"the time `{printable(now)}` is not {SHAPES[TIME]}"))
    witnesses: list[tuple[Document, tuple[str, ...]]] = []
    for held in (document, *signed):
        if held.identity.agent != document.identity.agent:
            raise DocumentError(Fault(message="a signed revision is of another agent", pointer="/identity"))
        if held.identity.signatures:
            names = verify_document_signatures(held, trust.policy, now=now)
            witnesses.append((held, names))
    found: dict[str, tuple[str, ...]] = {}
    faults: list[Fault] = []
    for rule in trust.rules if rules is None else rules:
        signers = {
            name
            for held, names in witnesses
            if _same(document, held, rule.field)
            for name in names
            if name in rule.keys
        }
        # One key under two names is one signer, whatever the threshold.
        count = len({trust.policy.keys[name] for name in signers})
        if count < rule.threshold:
            wanted = " or ".join(f"`{printable(name)}`" for name in rule.keys)
            what = "this revision" if rule.field == WHOLE else f"`{rule.field}` as it stands"
            faults.append(
                Fault(
                    message=f"{what} is signed by {count} of the keys that may, {rule.threshold} needed",
                    pointer=f"/{rule.field}",
                    hint=f"have a revision of it signed by {wanted}",
                )
            )
        found[rule.field] = tuple(sorted(signers))
    if faults:
        raise DocumentError(*faults)
    return found


def _same(document: Document, other: Document, field: str) -> bool:
    if field == WHOLE:
        return document.identity.revision == other.identity.revision
    return document.identity.fields.get(field) == other.identity.fields.get(field)
