"""Agents that the document tests share: small, complete, and using every member of the format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from remit.document.entries import erase, remember
from remit.document.memory import Payload
from remit.document.revision import genesis, revise
from remit.document.signing import Ed25519Signer, sign_document

if TYPE_CHECKING:
    from remit.document.model import Document
    from remit.document.values import JsonObject

AT = "2026-01-02T03:04:05.678Z"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def small_fields() -> JsonObject:
    return {
        "governance": {
            "attributes": {"jurisdiction": "EU", "risk_tier": "limited", "owner": "desk"},
            "activation": [{"id": "open", "when": "true"}],
            "mutation": [],
            "termination": [],
            "rules": [
                {
                    "id": "cap",
                    "effect": "forbid",
                    "on": ["refund"],
                    "when": "context.input.amount > 500",
                    "obligations": [{"approve": {"by": "officer"}}, {"redact": {"arguments": ["iban"]}}],
                },
                {"cedar": '@id("eu") forbid(principal, action, resource);'},
            ],
        },
        "capabilities": {
            "instructions": "be good: naïve café",
            "tools": [
                {
                    "name": "refund",
                    "description": "pay",
                    "parameters": {"type": "object", "properties": {"amount": {"type": "integer"}}},
                    "effect": "write",
                    "source": {"python": "tools:refund"},
                    "timeout_s": 2.5,
                }
            ],
            "backends": [
                {"name": "local", "adapter": "scripted", "provider": "p", "region": "EU", "model": "m"}
            ],
        },
        "memory": {
            "blocks": [
                {
                    "name": "notes",
                    "description": "n",
                    "schema": {"type": "string"},
                    "classification": "internal",
                },
                {
                    "name": "people",
                    "description": "p",
                    "schema": {"type": ["object", "null"]},
                    "classification": "health",
                    "retention_days": 30,
                    "subject": True,
                },
            ]
        },
        "execution_state": {"lifecycle": "ready", "usage": {"turns": 3}, "pending": []},
        "x-team": {"room": 7},
    }


def grown_document() -> Document:
    """A document with two entries, one of them erased, and three operations after genesis."""
    document = genesis(small_fields(), nonce="0123456789abcdef" * 2)
    memory, _ = remember(
        document.memory,
        block="notes",
        key="k1",
        payload=Payload(value="hé 😀", on_behalf_of="u1"),
        author="agent",
        operation="remember",
        at=AT,
        salt="ab" * 16,
    )
    document = revise(
        document,
        operation="remember",
        actor='Remit::Agent::"a"',
        at=AT,
        decision="sha256:" + "5" * 64,
        memory=memory,
    )
    memory, entry = remember(
        memory,
        block="people",
        key="r/2",
        payload=Payload(value={"allergy": None}, subject="anna"),
        author="caller",
        operation="remember",
        at=AT,
        salt="cd" * 16,
    )
    document = revise(
        document, operation="remember", actor='Remit::Caller::"u1"', at=AT, decision="", memory=memory
    )
    return revise(
        document,
        operation="erase",
        actor='Remit::Caller::"dpo"',
        at=AT,
        decision="",
        memory=erase(memory, [entry.id]),
    )


@pytest.fixture(scope="session")
def fields() -> JsonObject:
    return small_fields()


@pytest.fixture(scope="session")
def document() -> Document:
    return grown_document()


@pytest.fixture(scope="session")
def signer() -> Ed25519Signer:
    return Ed25519Signer("owner", bytes(range(32)))


@pytest.fixture(scope="session")
def signed(document: Document, signer: Ed25519Signer) -> Document:
    return sign_document(document, signer)


@pytest.fixture(scope="session")
def shared() -> Path:
    return SHARED
