"""Identity: what a revision is called, computed from the received JSON and nothing else.

Rules
1. Field digest = SHA-256(`remit/1/field/<name>` ‖ 0x00 ‖ JCS(value)).
2. `memory` enters without `entries`, `lineage` without `operations`: their Merkle roots stand for them.
3. Manifest = JCS(`{"fields": {…}, "spec": "remit/1"}`) over the five fields and every top-level `x-` member.
4. Revision = SHA-256 of the manifest. `identity` itself lies outside.
5. Agent = the genesis revision: the revision itself while the log has one operation, else operation 1's
   parent.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from remit.document.values import SPEC, JsonObject, JsonValue, canonical_bytes, digest_text, tagged_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.model import Document

LOGS = {"memory": "entries", "lineage": "operations"}
"""The member of a field that its Merkle root stands for."""


def field_digest(name: str, preimage: JsonValue) -> str:
    """Digest one field's preimage (rule 1)."""
    return digest_text(tagged_sha256(f"field/{name}", canonical_bytes(preimage)))


def preimage_of(name: str, value: JsonValue) -> JsonValue:
    """Return what of a received field enters its digest (rule 2)."""
    log = LOGS.get(name)
    if log is None or not isinstance(value, dict):
        return value
    return {member: content for member, content in value.items() if member != log}


def preimages(document: Document) -> JsonObject:
    """Return the preimage of every field and top-level `x-` member."""
    return {
        "capabilities": document.capabilities.value,
        "execution_state": document.execution_state.value,
        "governance": document.governance.value,
        "lineage": document.lineage.value,
        "memory": document.memory.value,
        **document.extensions,
    }


def field_digests(document: Document) -> dict[str, str]:
    """Recompute the digest of every field and top-level `x-` member from the received values."""
    return {name: field_digest(name, value) for name, value in preimages(document).items()}


def manifest_of(fields: Mapping[str, str]) -> bytes:
    """Return the manifest of these field digests (rule 3)."""
    return canonical_bytes({"fields": dict(fields), "spec": SPEC})


def revision_from(fields: Mapping[str, str]) -> str:
    """Return the revision that these field digests make (rule 4)."""
    return digest_text(hashlib.sha256(manifest_of(fields)).digest())


def manifest_bytes(document: Document) -> bytes:
    """Recompute the manifest from the received values: what signatures cover."""
    return manifest_of(field_digests(document))


def revision_of(document: Document) -> str:
    """Recompute the revision from the received values."""
    return revision_from(field_digests(document))
