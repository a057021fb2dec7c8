"""The document: an agent as six frozen fields.

Every field keeps the JSON value that was received (`value`); its digest is computed from that, never
from these typed views. The views are built by `remit.document.parse`; nothing here is validated again.

    identity         who it is: digests of the content; derived, never typed in
    memory           what it knows: declared blocks and a Merkle tree of entries
    governance       what binds it: attributes, activation, mutation and termination rules
    capabilities     what it can do: instructions, tools with permission rules, back-ends
    execution_state  where it stands: lifecycle, usage, pending approvals
    lineage          where it comes from: parents and the log of operations
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from remit.document.values import JsonObject, JsonValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.lineage import Lineage
    from remit.document.memory import Memory
    from remit.document.rules import Rule

FIELD_NAMES = ("capabilities", "execution_state", "governance", "lineage", "memory")
"""The five fields inside the identity preimage, in canonical order; `identity` is the sixth."""

Lifecycle = Literal["draft", "ready", "active", "suspended", "awaiting_approval", "terminated"]
ToolEffect = Literal["read", "write", "external"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that the agent may propose to call.

    Args:
        name: its name and its Cedar action; ASCII letters, digits, `_`, `-`.
        description: what the model is told.
        parameters: JSON Schema (type object) of the arguments.
        effect: read (changes nothing), write (changes the owner's data), external (leaves the owner's
            systems).
        source: where it runs: `{"python": "module:function"}`, `{"embedder": true}` or
            `{"mcp": {"command": […]} | {"url": …}, "tool": …}`; extra members belong to the tool adapter.
        rules: permission rules that stand at this tool.
        timeout_s: after which a call is abandoned with an unknown outcome.
        max_result_bytes: larger results are refused.
        idempotent: whether repeating a call with the same key is harmless.
    """

    name: str
    description: str
    parameters: JsonObject
    effect: ToolEffect
    source: JsonObject
    rules: tuple[Rule, ...] = ()
    timeout_s: float = 30.0
    max_result_bytes: int = 65536
    idempotent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendEntry:
    """A back-end in order of preference.

    Args:
        name: the document's own name for it; the Cedar resource `Remit::Backend::"<name>"`.
        adapter: entry-point name of the adapter.
        provider: who runs the model.
        region: where inference happens, as the owner declares it.
        model: model name or, for open weights, the name in the model catalogue.
        config: what the adapter needs; secrets only by the name of an environment variable.
    """

    name: str
    adapter: str
    provider: str
    region: str
    model: str
    config: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinFile:
    """A file of the project folder that a built-in may look into.

    Args:
        path: relative to the project folder, with `/`.
        sha256: 64 hexadecimal digits of its content; other content is never uploaded.
        classification: as of a memory block; rules on `dispatch` see it.
    """

    path: str
    sha256: str
    classification: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Builtin:
    """A tool that runs at the vendor's; offered only where a `dispatch` decision allows it.

    Args:
        name: code_interpreter, file_search or web_search.
        required: whether a back-end that lacks it, or for which it is denied, must not be used.
        files: what is uploaded for it, and deleted afterwards.
        config: settings for the adapter that offers it.
    """

    name: str
    required: bool
    files: tuple[BuiltinFile, ...]
    config: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the agent can do.

    Args:
        instructions: the system text.
        tools: tools by declaration order.
        builtins: the vendor's own tools, by declaration order.
        backends: back-ends by preference.
        dispatch: rules on the action `dispatch` (data residency lives here).
        value: the field as received.
    """

    instructions: str
    tools: tuple[Tool, ...]
    builtins: tuple[Builtin, ...]
    backends: tuple[BackendEntry, ...]
    dispatch: tuple[Rule, ...]
    value: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Hard loop bounds of the host, beneath which termination rules govern."""

    max_turns: int = 24
    max_tool_calls: int = 64
    max_wall_time_s: float = 600.0
    max_output_tokens: int = 512
    max_consecutive_denials: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PackPin:
    """A pack whose rules stand in the document, as `<alias>.<rule>`.

    Args:
        name: the pack's name.
        version: its version.
        digest: of what it says; `remit.policy.packs.pack_digest`.
        alias: what its rules are called after: its name, unless the document says `as`.
        parameters: the values that its rules were expanded with; None where it brought no rules.
    """

    name: str
    version: str
    digest: str
    alias: str
    parameters: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Governance:
    """What binds the agent.

    Args:
        attributes: the agent's typed attributes; `jurisdiction`, `risk_tier` and `owner` are required
            strings.
        caller_schema: JSON Schema (type object) of the attributes an embedder gives to a caller.
        environment_schema: JSON Schema (type object) of `context.environment`.
        environment: declared default values of the environment.
        activation: rules on `activate` (and `resume`).
        mutation: rules on `remember`, `revise`, `erase` and `amend`.
        termination: rules on `continue`; forbids end the run.
        rules: rules on any action, named by `on` or plain Cedar.
        limits: hard loop bounds.
        packs: pinned packs.
        trusted_keys: informative; verifiers bring their own.
        value: the field as received.
    """

    attributes: JsonObject
    caller_schema: JsonObject
    environment_schema: JsonObject
    environment: JsonObject
    activation: tuple[Rule, ...]
    mutation: tuple[Rule, ...]
    termination: tuple[Rule, ...]
    rules: tuple[Rule, ...]
    limits: Limits
    packs: tuple[PackPin, ...]
    trusted_keys: tuple[JsonObject, ...]
    value: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingApproval:
    """A request that waits for a person.

    Args:
        id: random name of the approval.
        run: the run that waits.
        action: the Cedar action.
        rules: ids of the rules whose obligation waits.
        by: role that must approve.
        request: digest of exactly what would be approved.
        because: the rules' reasons, for the person.
        until: RFC 3339 UTC time with milliseconds from which no answer counts any more; empty where there is
            no time limit.
    """

    id: str
    run: str
    action: str
    rules: tuple[str, ...]
    by: str
    request: str
    because: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionState:
    """Where the agent stands.

    Args:
        lifecycle: draft → ready → active ⇄ suspended / awaiting_approval → terminated.
        usage: lifetime counters (see `remit.gate.usage`), non-negative integers.
        pending: approvals that wait.
        value: the field as received.
    """

    lifecycle: Lifecycle
    usage: Mapping[str, int]
    pending: tuple[PendingApproval, ...]
    value: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who it is.

    Args:
        agent: digest of the genesis revision; stays the same as revisions follow.
        revision: digest of exactly this content.
        fields: digest of each field and `x-` member; the manifest's `fields`, so that a mismatch can name
            the field.
        signatures: DSSE envelopes over the manifest.
    """

    agent: str
    revision: str
    fields: Mapping[str, str]
    signatures: tuple[JsonObject, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An agent.

    Args:
        spec: version of the format, `remit/1`.
        extensions: top-level members whose name starts with `x-`; hashed like fields.
    """

    identity: Identity
    memory: Memory
    governance: Governance
    capabilities: Capabilities
    execution_state: ExecutionState
    lineage: Lineage
    spec: str = "remit/1"
    extensions: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    def tool(self, name: str) -> Tool | None:
        """Return the tool called `name`, or None."""
        return next((tool for tool in self.capabilities.tools if tool.name == name), None)

    def backend(self, name: str) -> BackendEntry | None:
        """Return the back-end entry called `name`, or None."""
        return next((entry for entry in self.capabilities.backends if entry.name == name), None)
