"""Where a foreign file says that its model runs, as an entry for `capabilities.backends`.

Rules
1. An entry is made only where an adapter speaks the service's protocol and the file says, or everybody knows,
   its address; else a person must decide, and the agent has no back-end.
2. A key's environment variable is named only beside the address of the provider whose key it holds:
   a file must not send one provider's key to another address.
3. User names, passwords and queries of an address are left out: they may be secrets.
4. The region is `undecided`: no foreign format states it in a way that residency rules could trust.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from remit.document.json_text import printable
from remit.exchange.names import fit_name

if TYPE_CHECKING:
    from remit.document.values import JsonObject
    from remit.exchange.members import Findings

UNDECIDED = "undecided"
_USER = re.compile(r"//[^/]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What is known about a model service.

    Args:
        adapter: entry-point name of the adapter that speaks its protocol.
        provider: who runs it.
        base_url: its address; empty where each installation has its own.
        key: environment variable that commonly holds its key; empty where it needs none.
        versioned: whether requests go below `/v1`, so that an address without a version gets it.
    """

    adapter: str
    provider: str
    base_url: str = ""
    key: str = ""
    versioned: bool = False


OPENAI = Service(
    adapter="openai-chat", provider="openai", base_url="https://api.openai.com/v1", key="OPENAI_API_KEY"
)
ANTHROPIC = Service(
    adapter="anthropic",
    provider="anthropic",
    base_url="https://api.anthropic.com",
    key="ANTHROPIC_API_KEY",
)
GOOGLE = Service(
    adapter="google",
    provider="google",
    base_url="https://generativelanguage.googleapis.com",
    key="GEMINI_API_KEY",
)


def self_hosted(provider: str) -> Service:
    """Return a service that speaks chat completions at an address of its owner's choice."""
    return Service(adapter="openai-chat", provider=provider, versioned=True)


def clean_address(text: str) -> tuple[str, bool]:
    """Return an address without user, query and fragment, and whether something was left out.

    The address is empty where the text is none that HTTP could reach.
    A host without a scheme gets `http://`, as the formats that allow it mean it.
    """
    spelled = text.strip()
    if spelled and "://" not in spelled:
        spelled = f"http://{spelled}"
    if not spelled.isprintable() or any(mark in spelled for mark in ' <>"\\`'):
        return "", False
    try:
        parts = urlsplit(spelled)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return "", False
    if not usable:
        return "", False
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", "")), host != parts.netloc or bool(
        parts.query or parts.fragment
    )


def without_secrets(text: str) -> str:
    """Return an address or a template of one, of any scheme, without user, query and fragment."""
    return _USER.sub("//", text.partition("?")[0].partition("#")[0])


def backend_entry(
    findings: Findings, pointer: str, *, service: Service, model: str, url: str = "", name: str = ""
) -> JsonObject | None:
    """Return a back-end entry with the remarks that it needs; None where none can be made.

    Args:
        findings: where remarks go.
        pointer: where the file describes the model.
        service: what serves it.
        model: its name there.
        url: the address in the file; empty where it names none.
        name: the entry's name; the provider's where it is empty.
    """
    address, cut = clean_address(url or service.base_url)
    if service.adapter == "anthropic":
        address = address.rstrip("/").removesuffix("/v1")
    if service.versioned and address and "/v1" not in address:
        address = f"{address.rstrip('/')}/v1"
    if not model or not address:
        lacking = "model" if not model else "usable address"
        findings.decide(
            pointer, f"no {lacking} is named for `{printable(service.provider)}`, so declare a back-end"
        )
        return None
    if cut:
        findings.lost(pointer, f"user, password and query of the address `{printable(address)}` are left out")
    config: JsonObject = {"base_url": address}
    own = urlsplit(service.base_url)
    here = urlsplit(address)
    if service.key and (here.scheme, here.netloc) == (own.scheme, own.netloc):
        config["api_key_env"] = service.key
    findings.decide(
        pointer,
        f"model `{printable(model)}` would be called at `{printable(address)}`: "
        "say whether it may, and in which region it runs",
    )
    return {
        "name": fit_name(name or service.provider, default="model"),
        "adapter": service.adapter,
        "provider": service.provider,
        "region": UNDECIDED,
        "model": model,
        "config": config,
    }
