"""A document read strictly and whole: every fault at once, every digest recomputed.

Rules
1. The carrier is read by `carriers` (rule R1); a value that did not come through one is checked all the same.
2. All six fields are required; unknown members are refused except `x-…`, which are hashed. Entries,
   payloads and `identity` take no `x-` members, because no digest would cover them.
3. Every digest is recomputed from the received value, never from a typed view, and a mismatch names the
   field.
4. Signatures are checked for shape here; whether to trust them is the verifier's business (`signing`).
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING

from remit.document.carriers import Format, read_value, write_value
from remit.document.entries import entry_value
from remit.document.faults import DIGEST, FaultLog, Members
from remit.document.field_values import (
    pack_names,
    read_capabilities,
    read_execution_state,
    read_governance,
    tool_names,
)
from remit.document.identity import field_digest, manifest_of, preimage_of, revision_from
from remit.document.json_text import printable
from remit.document.log_values import read_lineage, read_memory
from remit.document.model import FIELD_NAMES, Document, Identity
from remit.document.rule_values import RuleReader
from remit.document.values import SPEC, JsonObject, JsonValue, admit_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.lineage import Lineage
    from remit.document.places import Parsed

PAYLOAD_TYPE = "application/vnd.remit.revision+json"


def parse_document(data: bytes, *, file: str = "", format: Format = "json") -> Document:  # noqa: A002  # the seam's name
    """Read a document.

    Args:
        data: the bytes as received.
        file: name of the input for faults.
        format: the carrier.

    Raises:
        DocumentError: the input is no agent document; every fault is listed with its place.
    """
    parsed = read_value(data, format=format, file=file)
    return _document(parsed.value, FaultLog(parsed))


def document_from_value(value: JsonValue, parsed: Parsed | None = None) -> Document:
    """Read a document from a JSON value.

    Args:
        value: the value; it is copied and checked by rule R1 unless it is `parsed.value` itself.
        parsed: where the value was read, for places in faults.

    Raises:
        DocumentError: the value is no agent document; every fault is listed.
    """
    log = FaultLog(parsed)
    if parsed is None or parsed.value is not value:
        value, wrong = admit_value(value)
        for pointer, what in wrong:
            log.add(pointer, f"{what} in `{printable(pointer)}`" if pointer else what)
        log.refuse()
    return _document(value, log)


def _document(value: JsonValue, log: FaultLog) -> Document:
    members = Members(value, "", log)
    spec = members.text("spec")
    if spec and spec != SPEC:
        members.wrong("spec", f"is `{printable(spec)}`, not `{SPEC}`", "this version reads no other format")
    rules = RuleReader(log, pack_names(members.value.get("governance")))
    identity_value = members.any("identity")
    found = {name: members.any(name) for name in FIELD_NAMES}
    members.close()
    if not members.is_object or any(name not in members.value for name in ("identity", *FIELD_NAMES)):
        _survey(members, log, rules)
        log.refuse()
    capabilities = read_capabilities(found["capabilities"], log, rules)
    governance = read_governance(found["governance"], log, rules, tool_names(found["capabilities"]))
    memory = read_memory(found["memory"], log, rules)
    execution_state = read_execution_state(found["execution_state"], log)
    lineage = read_lineage(found["lineage"], log)
    extensions = {name: member for name, member in members.value.items() if name.startswith("x-")}
    identity = _identity(identity_value, {**found, **extensions}, lineage, log)
    log.refuse()
    return Document(
        identity=identity,
        memory=memory,
        governance=governance,
        capabilities=capabilities,
        execution_state=execution_state,
        lineage=lineage,
        spec=spec,
        extensions=extensions,
    )


def _survey(members: Members, log: FaultLog, rules: RuleReader) -> None:
    """Find the faults inside those fields that are there, so that all can be mended at once."""
    value = members.value
    if "capabilities" in value:
        read_capabilities(value["capabilities"], log, rules)
    if "governance" in value:
        read_governance(value["governance"], log, rules, tool_names(value.get("capabilities")))
    if "memory" in value:
        read_memory(value["memory"], log, rules)
    if "execution_state" in value:
        read_execution_state(value["execution_state"], log)
    if "lineage" in value:
        read_lineage(value["lineage"], log)


def _identity(value: JsonValue, fields: Mapping[str, JsonValue], lineage: Lineage, log: FaultLog) -> Identity:
    members = Members(value, "/identity", log, extensions=False)
    agent = members.text("agent", shape=DIGEST)
    revision = members.text("revision", shape=DIGEST)
    stated = _stated_digests(members, fields, log)
    computed = {name: field_digest(name, preimage_of(name, field)) for name, field in fields.items()}
    for name, digest in computed.items():
        if name in stated and stated[name] != digest:
            log.add(f"/{name}", f"field `{name}`: content does not match its digest in `identity`")
    if revision and stated and revision != revision_from(stated):
        members.wrong("revision", "does not match `fields`")
    if revision and not stated and revision != revision_from(computed):
        members.wrong("revision", "does not match the content")
    if agent and lineage.operations:
        later = len(lineage.operations) > 1
        if agent != (lineage.operations[1].parent if later else revision):
            members.wrong(
                "agent",
                "is not the parent that operation 1 names" if later else "is not the genesis revision",
            )
    signatures = tuple(
        read_envelope(item, pointer, manifest_of(computed), log)
        for pointer, item in members.items("signatures", required=False)
    )
    members.close()
    return Identity(agent=agent, revision=revision, fields=stated, signatures=signatures)


def _stated_digests(identity: Members, fields: Mapping[str, JsonValue], log: FaultLog) -> dict[str, str]:
    stated = identity.object("fields")
    if not isinstance(identity.value.get("fields"), dict):
        return {}
    members = Members(stated, identity.at("fields"), log, extensions=False)
    digests = {name: members.text(name, shape=DIGEST) for name in fields}
    members.close()
    return {name: digest for name, digest in digests.items() if digest}


def read_envelope(value: JsonValue, pointer: str, manifest: bytes, log: FaultLog) -> JsonObject:
    """Check the shape of one DSSE envelope and that it is about this manifest."""
    members = Members(value, pointer, log, extensions=False)
    kind = members.text("payloadType")
    if kind and kind != PAYLOAD_TYPE:
        members.wrong("payloadType", f"is `{printable(kind)}`, not `{PAYLOAD_TYPE}`")
    payload = _base64(members, "payload")
    if payload is not None and payload != manifest:
        members.wrong(
            "payload", "is not the manifest of this content: the signature is about another revision"
        )
    for where, item in members.items("signatures"):
        signature = Members(item, where, log, extensions=False)
        signature.text("keyid")
        _base64(signature, "sig")
        signature.close()
    if members.value.get("signatures") == []:
        members.wrong("signatures", "must hold a signature")
    members.close()
    return members.value


def _base64(members: Members, name: str) -> bytes | None:
    text = members.text(name)
    if not text:
        return None
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        members.wrong(name, "is not base64")
        return None
    # Unused trailing bits would let one signature be written in several ways.
    if base64.b64encode(raw).decode() != text:
        members.wrong(name, "is not canonical base64")
        return None
    return raw


def document_value(document: Document) -> JsonObject:
    """Return a document as the JSON value that its carriers hold."""
    identity: JsonObject = {
        "agent": document.identity.agent,
        "revision": document.identity.revision,
        "fields": dict(document.identity.fields),
    }
    if document.identity.signatures:
        identity["signatures"] = list(document.identity.signatures)
    value: JsonObject = {
        "spec": document.spec,
        "identity": identity,
        "governance": document.governance.value,
        "capabilities": document.capabilities.value,
        "memory": {
            **document.memory.value,
            "entries": [entry_value(entry) for entry in document.memory.tree],
        },
        "execution_state": document.execution_state.value,
        "lineage": {
            **document.lineage.value,
            "operations": [operation.value for operation in document.lineage.operations],
        },
    }
    return {**value, **document.extensions}


def serialize_document(document: Document, *, format: Format = "json") -> bytes:  # noqa: A002  # the seam's name
    """Write a document to a carrier.

    JSON is indented for people, with one memory entry and one operation a line, so that revisions compare
    well.
    """
    value = document_value(document)
    if format != "json":
        return write_value(value, format=format)
    parts = [f"  {json.dumps(name)}: {_member_text(name, value[name])}" for name in value]
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()


def _member_text(name: str, value: JsonValue) -> str:
    log = {"memory": "entries", "lineage": "operations"}.get(name)
    if log is None or not isinstance(value, dict):
        return _indented(value, "  ")
    lines = [
        f"    {json.dumps(member, ensure_ascii=False)}: {_indented(content, '    ')}"
        for member, content in value.items()
        if member != log
    ]
    rows = value[log]
    listed = ",\n      ".join(_compact(row) for row in rows) if isinstance(rows, list) else ""
    lines.append(f'    "{log}": [\n      {listed}\n    ]' if listed else f'    "{log}": []')
    return "{\n" + ",\n".join(lines) + "\n  }"


_compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def _indented(value: JsonValue, indent: str) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    return text.replace("\n", "\n" + indent)
