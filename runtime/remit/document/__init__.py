"""The document: strict parsing, identity, memory, lineage, signatures. No I/O.

The main functions are loaded on first use, so that importing the package stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remit.document.carriers import format_of, read_value, write_value
    from remit.document.entries import bulk_memory, erase, find, prove, remember, select, verify_proof
    from remit.document.identity import field_digests, manifest_bytes, revision_of
    from remit.document.json_text import parse_json
    from remit.document.model import Document
    from remit.document.parse import document_from_value, parse_document, serialize_document
    from remit.document.revision import fork, genesis, revise
    from remit.document.schema import json_schema
    from remit.document.signing import (
        Ed25519Signer,
        TrustPolicy,
        sign_document,
        verify_document_signatures,
    )

__all__ = [
    "Document",
    "Ed25519Signer",
    "TrustPolicy",
    "bulk_memory",
    "document_from_value",
    "erase",
    "field_digests",
    "find",
    "fork",
    "format_of",
    "genesis",
    "json_schema",
    "manifest_bytes",
    "parse_document",
    "parse_json",
    "prove",
    "read_value",
    "remember",
    "revise",
    "revision_of",
    "select",
    "serialize_document",
    "sign_document",
    "verify_document_signatures",
    "verify_proof",
    "write_value",
]

_HOMES = {
    "carriers": ("format_of", "read_value", "write_value"),
    "entries": ("bulk_memory", "erase", "find", "prove", "remember", "select", "verify_proof"),
    "identity": ("field_digests", "manifest_bytes", "revision_of"),
    "json_text": ("parse_json",),
    "model": ("Document",),
    "parse": ("document_from_value", "parse_document", "serialize_document"),
    "revision": ("fork", "genesis", "revise"),
    "schema": ("json_schema",),
    "signing": ("Ed25519Signer", "TrustPolicy", "sign_document", "verify_document_signatures"),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
