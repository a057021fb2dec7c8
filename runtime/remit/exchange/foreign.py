"""What every importer reads a foreign file into: one value, and remarks about everything that it met.

Rules
1. Nothing of a file is executed, fetched or followed; source code in it is text.
2. Whatever a file holds is carried, or named as lost, or named as a person's decision. Nothing is silent.
3. A file grants nothing: what it allows becomes a proposal; what it denies becomes a forbid.
4. Reading is a function of the bytes alone: no clock, no randomness, no environment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from remit.document.model import ToolEffect
    from remit.document.values import JsonObject, JsonValue

Fate = Literal["carried", "lost", "decide"]
MAX_AGENTS = 256
"""How many agents one file may hold."""

UNREVIEWED = "unreviewed"
"""Classification of imported memory until a person has looked at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What became of one thing in the file.

    Args:
        fate: carried (it is in the document), lost (it is not), decide (a person must say).
        what: one clause, lower case, no full stop, `names from the file` in backticks.
        pointer: JSON pointer of the thing in the file.
        line: 1-based line in the file; 0 where the file has none.
        column: 1-based column; 0 like `line`.
    """

    fate: Fate
    what: str
    pointer: str = ""
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignTool:
    """A tool that the file declares; where it runs is for a person to decide.

    Args:
        name: fit for a document (ASCII letters, digits, `_`, `-`); unique among the agent's tools.
        description: what the model is told.
        parameters: JSON Schema of type object.
        effect: read, write or external; external unless the file says otherwise.
        source: the document's `source` member where the file names a server; else None (the embedder's).
        ask: whether the file wants a person to confirm each call: a forbid with an approval obligation.
    """

    name: str
    description: str
    parameters: JsonObject
    effect: ToolEffect = "external"
    source: JsonObject | None = None
    ask: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignEntry:
    """One memory entry.

    Args:
        key: unique within its block.
        value: conforms to the block's schema.
    """

    key: str
    value: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignBlock:
    """A memory block with its entries.

    Args:
        name: fit for a document; unique among the agent's blocks.
        description: what it holds.
        schema: JSON Schema of a value.
        entries: in the file's order.
        classification: `UNREVIEWED` unless the file says otherwise.
    """

    name: str
    description: str
    schema: JsonObject
    entries: tuple[ForeignEntry, ...] = ()
    classification: str = UNREVIEWED


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignRule:
    """A rule that the file amounts to.

    Args:
        place: `tool:NAME`, `rules`, `dispatch` … as in a project folder's rule files.
        value: the rule as a document holds it.
        in_force: True for forbids; False for permits, which are only proposed (rule 3 of the module).
    """

    place: str
    value: JsonObject
    in_force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignAgent:
    """One agent of a foreign file.

    Args:
        format: name of the importer.
        name: the agent's name in the file; may be empty.
        instructions: the system text; may be empty.
        description: what the file says about it.
        tools: function and server tools.
        builtins: the vendor's own tools, as `capabilities.builtins` holds them.
        backends: entries for `capabilities.backends`, in order of preference.
        blocks: memory.
        rules: what the file's permissions amount to.
        extensions: further facts of the file worth keeping, for `x-import`.
        remarks: what became of everything.
    """

    format: str
    name: str
    instructions: str
    description: str = ""
    tools: tuple[ForeignTool, ...] = ()
    builtins: tuple[JsonObject, ...] = ()
    backends: tuple[JsonObject, ...] = ()
    blocks: tuple[ForeignBlock, ...] = ()
    rules: tuple[ForeignRule, ...] = ()
    extensions: JsonObject = field(default_factory=dict[str, "JsonValue"])
    remarks: tuple[Remark, ...] = ()
