"""A2A agent cards: what a remote agent tells about itself, in the form of version 1.0 or of 0.1 to 0.3.

A card holds no instructions, no tools, no model and no memory, so what is read from it is a draft.

Rules
1. Name, description and skills become the text of draft instructions, which a person must rewrite.
2. No back-end and no tool is made of an address: nothing here contacts the agent that the card describes.
3. Signatures are not verified, for the key would come from the signer; credentials are never carried.

Sources: A2A protocol 1.0 (`AgentCard`), and the types of a2a-sdk 1.3 for 0.3 and before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.endpoints import without_secrets
from remit.exchange.foreign import ForeignAgent
from remit.exchange.members import Findings, ForeignObject
from remit.exchange.remnants import Remnants, listed, lose_together, says_nothing

if TYPE_CHECKING:
    from remit.document.places import Parsed
    from remit.document.values import JsonObject, JsonValue

_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_SKILL_READ = ("id", "name", "description", "tags", "examples")
_SECURITY = ("security", "securityRequirements")
_INTERFACE_READ = (
    "url",
    "transport",
    "protocolBinding",
    "protocol_binding",
    "protocolVersion",
    "protocol_version",
    "tenant",
)
_KNOWN_VERSIONS = ("0.1", "0.2", "0.3", "1.0")
_SCHEMES = {
    "apiKeySecurityScheme": "apiKey",
    "httpAuthSecurityScheme": "http",
    "oauth2SecurityScheme": "oauth2",
    "openIdConnectSecurityScheme": "openIdConnect",
    "mtlsSecurityScheme": "mutualTLS",
}
"""Members of a security scheme of 1.0, by their names in 0.x."""

_READ = (
    "name",
    "description",
    "version",
    "protocolVersion",
    "url",
    "preferredTransport",
    "additionalInterfaces",
    "supportedInterfaces",
    "supportsAuthenticatedExtendedCard",
    "provider",
    "capabilities",
    "skills",
    "securitySchemes",
    "authentication",
    "signatures",
    "defaultInputModes",
    "defaultOutputModes",
    "documentationUrl",
    "iconUrl",
    *_SECURITY,
)


class AgentCardReader:
    """Reads A2A agent cards."""

    @property
    def name(self) -> str:
        """Name of the format."""
        return "a2a"

    def detects(self, value: JsonValue) -> bool:
        """Whether a value looks like an agent card, or an answer that holds one."""
        if not isinstance(value, dict):
            return False
        card = _card_value(value)[1]
        if not isinstance(card, dict) or not isinstance(card.get("name"), str):
            return False
        names = {_camel(name) for name in card}
        if "supportedInterfaces" in names:
            return True
        return "skills" in names and ("url" in names or {"capabilities", "defaultInputModes"} <= names)

    def read(self, parsed: Parsed) -> tuple[ForeignAgent, ...]:
        """Read the agent that a card describes.

        Raises:
            DocumentError: it is no card, or a member is of a wrong type; every fault is listed.
        """
        findings = Findings(parsed)
        value = parsed.value
        pointer, card = _card_value(value) if isinstance(value, dict) else ("", value)
        owner = ForeignObject(card, pointer, findings)
        findings.refuse()
        agent = _CardReading(owner).agent()
        findings.refuse()
        return (agent,)


class _CardReading:
    """Reads one card.

    Args:
        card: the card.
    """

    def __init__(self, card: ForeignObject) -> None:
        self._card = card
        self._findings = card.findings
        self._kept: dict[str, JsonValue] = {}

    def agent(self) -> ForeignAgent:
        """Return the draft of an agent."""
        card = self._card
        name = card.text("name", required=True)
        description = card.text("description")
        if card.is_object and not any(
            self._has(member) for member in ("skills", "url", "supportedInterfaces")
        ):
            self._findings.fault(
                card.pointer,
                "this is no agent card: it has none of `skills`, `url`, `supportedInterfaces`",
                "fetch it from `/.well-known/agent-card.json` of the agent's host",
            )
        skills = self._skills()
        self._findings.decide(
            card.pointer,
            "a card holds no instructions: those of the document are a draft from description and skills, "
            "so write them",
        )
        self._addresses()
        self._security()
        self._capabilities()
        self._rest()
        return ForeignAgent(
            format="a2a",
            name=name,
            instructions=_draft(name, description, skills),
            description=description,
            extensions=self._kept,
            remarks=self._findings.remarks,
        )

    def _name(self, member: str) -> str:
        """Return how a member is spelled in this card: some writers use `snake_case`."""
        if member in self._card.value:
            return member
        return _snake(member) if _snake(member) in self._card.value else member

    def _has(self, member: str) -> bool:
        return self._card.has(self._name(member))

    def _skills(self) -> list[str]:
        """Return a line of text for each skill."""
        place = self._card.at(self._name("skills"))
        rest = Remnants(self._findings, place, "skills")
        lines: list[str] = []
        kept: list[JsonValue] = []
        for skill in self._card.objects(self._name("skills")):
            name = skill.text("name") or skill.text("id")
            said = " ".join(skill.text("description").split())
            examples = [" ".join(text.split()) for _, text in skill.texts("examples")]
            line = f"- {name}: {said}" if said else f"- {name}"
            lines.append(f"{line} (such as: {'; '.join(examples)})" if examples else line)
            tags: list[JsonValue] = [tag for _, tag in skill.texts("tags")]
            kept.append({"id": skill.text("id"), "name": name, "tags": tags})
            required = [member for member in _SECURITY if not says_nothing(skill.any(member))]
            if required:
                self._findings.decide(
                    skill.at(required[0]), f"skill `{printable(name)}` has security requirements of its own"
                )
            rest.add(skill, (*_SKILL_READ, *required))
        rest.close("a document has no skills with forms of their own")
        if kept:
            self._kept["skills"] = kept
            self._findings.carried(place, f"skills are carried as text of the draft: {len(kept)}")
        return lines

    def _addresses(self) -> None:
        """Keep where the agent is reached, as a fact that nothing follows."""
        card = self._card
        found: list[tuple[str, JsonObject]] = []
        if self._has("url"):
            version = card.text(self._name("protocolVersion"))
            transport = card.text(self._name("preferredTransport")) or "JSONRPC"
            found.append((card.at("url"), self._interface(card, transport, version)))
        rest = Remnants(self._findings, card.at(self._name("supportedInterfaces")), "interfaces")
        for member in ("supportedInterfaces", "additionalInterfaces"):
            for owner in card.objects(self._name(member)):
                rest.add(owner, _INTERFACE_READ)
                binding = owner.text("protocolBinding") or owner.text("protocol_binding")
                version = owner.text("protocolVersion") or owner.text("protocol_version")
                found.append(
                    (owner.pointer, self._interface(owner, binding or owner.text("transport"), version))
                )
        rest.close("not known to this importer")
        for pointer, interface in found:
            self._findings.decide(
                pointer,
                f"the agent is reached at `{printable(str(interface['url']))}`, which nothing here contacts: "
                "say whether the document replaces it, or calls it through a tool",
            )
        if found:
            self._kept["interfaces"] = [interface for _, interface in found]
        versions = [
            str(interface["protocol_version"]) for _, interface in found if "protocol_version" in interface
        ]
        if self._has("protocolVersion"):
            versions.append(card.text(self._name("protocolVersion")))
        strange = [version for version in versions if not version.startswith(_KNOWN_VERSIONS)]
        if strange:
            self._findings.decide(
                card.pointer, f"protocol version {listed(strange)} is not known to this importer: compare"
            )

    def _interface(self, owner: ForeignObject, binding: str, version: str) -> JsonObject:
        url = owner.text("url")
        address = without_secrets(url)
        if address != url:
            self._findings.lost(
                owner.at("url"), f"user, password and query of `{printable(address)}` are left out"
            )
        interface: JsonObject = {"url": address}
        if binding:
            interface["protocol_binding"] = binding
        if version:
            interface["protocol_version"] = version
        if owner.text("tenant"):
            interface["tenant"] = owner.text("tenant")
        return interface

    def _security(self) -> None:
        """Say how callers had to prove who they are."""
        card = self._card
        kinds: dict[str, JsonValue] = {}
        for name, scheme in card.members(self._name("securitySchemes")):
            wrapped = [member for member in scheme.value if _camel(member) in _SCHEMES]
            kinds[name] = _SCHEMES[_camel(wrapped[0])] if wrapped else scheme.text("type")
        if kinds:
            self._kept["security_schemes"] = kinds
            told = ", ".join(f"`{printable(name)}` ({printable(str(kind))})" for name, kind in kinds.items())
            self._findings.decide(
                card.at(self._name("securitySchemes")),
                f"callers proved who they are by {told}, carried by name alone: write activation rules",
            )
        for member in _SECURITY:
            name = self._name(member)
            if not says_nothing(card.any(name)):
                kept = len(card.items(name))
                self._findings.decide(
                    card.at(name),
                    f"security requirements: {kept}, which became no rule: write activation rules",
                )
        authentication = card.object("authentication")
        if authentication is not None:
            schemes = [text for _, text in authentication.texts("schemes")]
            self._findings.decide(
                authentication.pointer,
                f"callers proved who they are by {listed(schemes) or 'nothing'}: write activation rules",
            )
            lose_together(authentication, ("credentials",), "credentials are never carried")
            rest = [name for name in authentication.value if name not in ("schemes", "credentials")]
            lose_together(authentication, rest, "not known to this importer")
        signatures = card.items("signatures")
        if signatures:
            self._findings.decide(
                card.at("signatures"),
                f"signatures of the card: {len(signatures)}, none of them verified: check who made it",
            )

    def _capabilities(self) -> None:
        card = self._card
        capabilities = card.object("capabilities")
        extended = card.boolean(self._name("supportsAuthenticatedExtendedCard")) or False
        if capabilities is not None:
            for member in ("extendedAgentCard", "extended_agent_card"):
                extended = capabilities.boolean(member) or extended
            for extension in capabilities.objects("extensions"):
                if extension.boolean("required"):
                    self._findings.decide(
                        extension.pointer,
                        f"callers had to know the extension `{printable(extension.text('uri'))}`, "
                        "which is not known here",
                    )
            offered = [
                member
                for member in capabilities.value
                if member not in ("extendedAgentCard", "extended_agent_card")
            ]
            lose_together(capabilities, offered, "abilities of the protocol, not of an agent")
        if extended:
            self._findings.decide(
                card.pointer, "there is a fuller card for callers who are known: import that one if you may"
            )

    def _rest(self) -> None:
        card = self._card
        provider = card.object("provider")
        if provider is not None:
            facts: JsonObject = {
                name: provider.text(name) for name in ("organization", "url") if provider.text(name)
            }
            self._kept["provider"] = facts
            lose_together(
                provider, [name for name in provider.value if name not in facts], "not known to this importer"
            )
        if card.text("version"):
            self._kept["version"] = card.text("version")
        for member in ("documentationUrl", "iconUrl"):
            if card.text(self._name(member)):
                self._kept[_snake(member)] = card.text(self._name(member))
        modes = [self._name(member) for member in ("defaultInputModes", "defaultOutputModes")]
        other = {
            mode
            for member in modes
            for _, mode in card.texts(member)
            if not mode.startswith("text") and mode != "application/json"
        }
        if other:
            self._findings.decide(
                card.pointer, f"the agent took or gave {listed(sorted(other))}: an agent here has text alone"
            )
        lose_together(card, modes, "an agent here is given text and answers in text")
        unknown = [
            name
            for name in card.value
            if _camel(name) not in _READ or (name != self._name(_camel(name)) and name not in _READ)
        ]
        lose_together(card, unknown, "not known to this importer")


def _draft(name: str, description: str, skills: list[str]) -> str:
    """Return draft instructions, in the card's own words."""
    parts = [f"You are {name}." if name else "", description.strip()]
    if skills:
        parts.append("\n".join(("What you do:", *skills)))
    return "\n\n".join(part for part in parts if part)


def _card_value(value: JsonObject) -> tuple[str, JsonValue]:
    """Return the card and its pointer: the value, or what an answer of the protocol wraps."""
    if "jsonrpc" in value and isinstance(value.get("result"), dict):
        return "/result", value["result"]
    return "", value


def _camel(name: str) -> str:
    """Return a member name as the specification spells it."""
    first, *others = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)


def _snake(name: str) -> str:
    return _CAPITAL.sub(lambda match: f"_{match.group().lower()}", name)


READER = AgentCardReader()
