"""A governance pack as a value, and its digest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remit.document.values import canonical_bytes, digest_text, tagged_sha256
from remit.policy.packs.placeholders import placeholders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.values import JsonObject, JsonValue
    from remit.policy.packs.parameters import Parameter

SPEC = "remit/1/pack"
PLACES = ("activation", "mutation", "termination", "dispatch", "rules")
MARKS = ("docs", "recall")
"""How a clause was checked: `docs`, read at its source; `recall`, known and not read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A clause of an outside framework that rules of the pack serve.

    Args:
        id: how rules name it, such as `GDPR-44`.
        clause: the clause as lawyers cite it.
        asks: what it asks, in a few words.
        mark: one of `MARKS`.
    """

    id: str
    clause: str
    asks: str
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRequirement:
    """Tools that the agent must declare.

    Args:
        names: tool names, or a whole placeholder.
        effects: effects that such a tool may have; empty means any.
        arguments: `(name or whole placeholder, JSON Schema type)` of arguments that it must require.
    """

    names: tuple[str, ...]
    effects: tuple[str, ...] = ()
    arguments: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What an agent must declare before the pack's rules can be read on it.

    Args:
        attributes: type word by member of `governance.attributes`.
        caller: type word by required member of the caller's schema.
        environment: type word by required member of the environment's schema.
        tools: tools with their arguments.
        blocks: names of memory blocks, or whole placeholders.
    """

    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    caller: Mapping[str, str] = field(default_factory=dict[str, str])
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    tools: tuple[ToolRequirement, ...] = ()
    blocks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PackRule:
    """A rule with blanks.

    Args:
        id: unique within the pack.
        place: one of `PLACES`.
        value: the rule as a document would hold it, with placeholders, without `place`, `given`, `not_given`.
        given: parameters that must have a value, or the rule is left out.
        not_given: parameters that must have none, or the rule is left out.
    """

    id: str
    place: str
    value: JsonObject
    given: tuple[str, ...] = ()
    not_given: tuple[str, ...] = ()

    def parameters(self) -> tuple[str, ...]:
        """Return the names of the parameters that the rule reads, in order of first use."""
        return tuple(dict.fromkeys(found.name for text in _texts(self.value) for found in placeholders(text)))


def _texts(value: JsonValue) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, dict):
        return [text for member in value.values() for text in _texts(member)]
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A governance pack.

    Args:
        name: what its rules are called after, unless whoever uses it says otherwise.
        version: semantic version.
        title: one line for people.
        description: what it is for; may be empty.
        parameters: in the order of their declaration.
        requirements: what the agent must declare.
        controls: clauses that its rules serve.
        rules: in the order of their files.
        digest: of what it says.
    """

    name: str
    version: str
    title: str
    description: str
    parameters: tuple[Parameter, ...]
    requirements: Requirements
    controls: tuple[Control, ...]
    rules: tuple[PackRule, ...]
    digest: str

    def parameter(self, name: str) -> Parameter | None:
        """Return the parameter called `name`, or None."""
        return next((item for item in self.parameters if item.name == name), None)


def pack_digest(head: JsonObject, rules: list[JsonValue]) -> str:
    """Return the digest of a pack's content.

    Args:
        head: `pack.yaml` as parsed.
        rules: every rule as parsed, each with its `place`, in the order of their files.
    """
    value: JsonObject = {"pack": head, "rules": rules, "spec": SPEC}
    return digest_text(tagged_sha256("pack", canonical_bytes(value)))


def manifest_bytes(pack: Pack, *, evidence: str) -> bytes:
    """Return what a pack's signature is about, in canonical form.

    Args:
        pack: the pack.
        evidence: digest of its fixtures, their cases and its page.
    """
    return canonical_bytes(
        {
            "digest": pack.digest,
            "evidence": evidence,
            "name": pack.name,
            "spec": SPEC,
            "version": pack.version,
        }
    )
