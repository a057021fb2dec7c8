"""Agents and stores for the tests of the host: real parts throughout."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from remit import Caller, Runtime
from remit.document.revision import genesis
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from remit.document.model import Document

ANN = Caller(id="ann", roles=("clerk",), attributes={"jurisdiction": "EU"})
RISK = Caller(id="rita", roles=("risk-officer",), attributes={"jurisdiction": "EU"})
OPERATOR = Caller(id="otto", roles=("operator",), attributes={"jurisdiction": "EU"})
_NONCES = itertools.count(1)


def order_status(order: int) -> dict[str, str]:
    """Say how an order stands."""
    return {"order": str(order), "status": "paid"}


def refund(order: int, amount: int, iban: str = "none") -> dict[str, Any]:
    """Refund an order."""
    return {"refunded": amount, "order": order, "iban": iban}


ORDER = {
    "type": "object",
    "properties": {"order": {"type": "integer"}},
    "required": ["order"],
    "additionalProperties": False,
}
REFUND = {
    "type": "object",
    "properties": {"order": {"type": "integer"}, "amount": {"type": "integer"}, "iban": {"type": "string"}},
    "required": ["order", "amount"],
    "additionalProperties": False,
}


def call(name: str, **arguments: object) -> dict[str, Any]:
    return {"call": {"name": name, "arguments": arguments}}


def say(text: str) -> dict[str, Any]:
    return {"say": text}


def backend(
    *script: dict[str, Any], name: str = "script", region: str = "EU", **config: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "adapter": "scripted",
        "provider": "local",
        "region": region,
        "model": "transcript",
        "config": {"script": list(script), **config},
    }


def tool(name: str, parameters: dict[str, Any], *, python: str = "", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"The tool {name}.",
        "parameters": parameters,
        "effect": "write",
        "source": {"python": python or f"tools:{name}"},
        "rules": [{"id": f"{name}-permitted", "effect": "permit", "because": "clerks use it"}],
        **more,
    }


def fields(
    *script: dict[str, Any],
    rules: Sequence[dict[str, Any]] = (),
    termination: Sequence[dict[str, Any]] = (),
    activation: Sequence[dict[str, Any]] | None = None,
    dispatch: Sequence[dict[str, Any]] | None = None,
    blocks: Sequence[dict[str, Any]] = (),
    tools: Sequence[dict[str, Any]] | None = None,
    backends: Sequence[dict[str, Any]] | None = None,
    limits: dict[str, Any] | None = None,
    lifecycle: str = "ready",
) -> dict[str, Any]:
    governance: dict[str, Any] = {
        "attributes": {"jurisdiction": "EU", "risk_tier": "limited", "owner": "refunds-team"},
        "caller": {
            "type": "object",
            "properties": {"jurisdiction": {"type": "string"}},
            "required": ["jurisdiction"],
        },
        "activation": list(activation)
        if activation is not None
        else [
            {
                "id": "clerks",
                "when": 'principal.roles.contains("clerk") && principal.jurisdiction == "EU"',
                "because": "EU clerks activate",
            }
        ],
        "mutation": [],
        "termination": list(termination),
        "rules": list(rules),
    }
    if limits is not None:
        governance["limits"] = limits
    return {
        "memory": {"blocks": list(blocks)},
        "governance": governance,
        "capabilities": {
            "instructions": "You refund orders.",
            "tools": list(tools)
            if tools is not None
            else [tool("order_status", ORDER), tool("refund", REFUND)],
            "backends": list(backends) if backends is not None else [backend(*script)],
            "dispatch": list(dispatch)
            if dispatch is not None
            else [{"id": "dispatch-ok", "because": "models may be used"}],
        },
        "execution_state": {"lifecycle": lifecycle, "usage": {}, "pending": []},
    }


def agent(*script: dict[str, Any], **more: Any) -> Document:
    return genesis(fields(*script, **more), nonce=f"{next(_NONCES):032x}")


def notes_block(*, subject: bool = False, rules: Sequence[dict[str, Any]] | None = None) -> dict[str, Any]:
    permitted = {"id": "notes-open", "effect": "permit", "because": "notes are open"}
    return {
        "name": "notes",
        "description": "what was noted",
        "schema": {"type": "string"},
        "classification": "internal",
        "subject": subject,
        "rules": [permitted] if rules is None else list(rules),
    }


def runtime(
    document: Document | Path,
    folder: Path,
    *,
    tools: Sequence[Callable[..., object]] = (order_status, refund),
    **more: Any,
) -> Runtime:
    store = open_store(folder / "store")
    return Runtime.open(document, store=store, tools=tools, **more)
