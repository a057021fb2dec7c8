"""Build the document of a project folder, as an image is built from a Dockerfile.

Rules
1. The same folder gives the same document, byte for byte: the nonce lies in agent.yaml, no clock enters.
2. Every fault of every file is reported at once, at the author's line.
3. A document is written whole or not at all, and only where it can be read again.
   A history, parents or memory entries that the new document lacks are never overwritten unasked.
4. A document may descend from another one: it names that revision as its parent and takes its memory along,
   every entry of it, checked against the blocks that the folder declares. Rules do not come along.
5. Packs are expanded after the folder's own rules, each held against its pin (`remit.project.packs.lock`).
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import stat
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from remit.document.carriers import Format, format_of
from remit.document.entries import entry_value
from remit.document.json_text import MAX_BYTES
from remit.document.parse import parse_document, serialize_document
from remit.document.revision import genesis
from remit.document.yaml_text import MAX_YAML_BYTES
from remit.errors import DocumentError, Fault
from remit.policy.origins import Origin
from remit.project.agent_file import AgentParts, read_agent
from remit.project.packs.use import UsedPack, use_packs
from remit.project.rule_files import PlacedRule, read_rules
from remit.project.source import FaultList, escape, read_yaml, shown_path

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.project.origins import OriginMap

AGENT_FILE = "agent.yaml"
SUFFIX = ".agent.json"
_ENTRIES = "/memory/entries/"
_MEBIBYTE = 1024 * 1024
_MOST_UNFIT = 8
"""How many entries of a parent are named that do not fit the blocks of the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A built document.

    Args:
        document: the genesis revision.
        origins: where the text of each mapped member was written, by JSON pointer; for the policy compiler.
        sources: the author's files that took part, as POSIX paths relative to the folder.
        folder: the project folder.
        packs: the packs whose rules stand in the document.
    """

    document: Document
    origins: Mapping[str, Origin]
    sources: tuple[str, ...]
    folder: Path
    packs: tuple[UsedPack, ...] = ()


def build_project(folder: str | Path, *, fetch_tools: bool = False, parent: Document | None = None) -> Built:
    """Build the document of a project folder.

    Args:
        folder: the project folder; its Python modules are imported where a tool's schema is derived.
        fetch_tools: ask the project's MCP servers for descriptions that the author left out.
        parent: a verified document that the new agent descends from and takes its memory from.

    Raises:
        DocumentError: anything in the folder is wrong; lists every fault found.
    """
    root = Path(folder)
    if not root.is_dir():
        problem = "is a file, not a project folder" if root.exists() else "does not exist"
        raise DocumentError(
            Fault(message=f"`{root.as_posix()}` {problem}", hint="make one with `remit init FOLDER`")
        )
    if not (root / AGENT_FILE).exists():
        raise DocumentError(
            Fault(
                message=f"`{root.as_posix()}` holds no `{AGENT_FILE}`, so it is not a project folder",
                hint="make one with `remit init FOLDER`",
            )
        )
    faults = FaultList()
    agent = read_yaml(root, AGENT_FILE)
    parts = read_agent(agent, folder=root, fetch=fetch_tools, faults=faults)
    placed = read_rules(root, tools=parts.tools, blocks=parts.blocks, unread=parts.unread, faults=faults)
    _place_rules(parts, placed)
    packs = use_packs(agent, parts, folder=root, faults=faults)
    document = _make(parts, parent, file=shown_path(root, AGENT_FILE), faults=faults)
    sources = (AGENT_FILE, *dict.fromkeys(rule.node.source.relative for rule in placed))
    return Built(
        document=document, origins=dict(parts.origins.places), sources=sources, folder=root, packs=packs
    )


def _make(parts: AgentParts, parent: Document | None, *, file: str, faults: FaultList) -> Document:
    if parent is not None:
        _take_memory(parts, parent, file=file, faults=faults)
    fields: JsonObject = {
        "memory": parts.memory,
        "governance": parts.governance,
        "capabilities": parts.capabilities,
        "execution_state": parts.execution_state,
        "lineage": {"parents": []},
        **parts.extensions,
    }
    document: Document | None = None
    try:
        # A missing nonce is already a fault; zeros let the document's own reader find the other ones.
        document = genesis(
            fields,
            nonce=parts.nonce or "0" * 32,
            operation="create" if parent is None else "fork",
            parents=() if parent is None else (parent.identity.revision,),
        )
    except DocumentError as error:
        _add_located(error, parts.origins, file=file, faults=faults)
    faults.settle()
    if document is None:
        raise DocumentError(Fault(message="the document cannot be made", file=file))
    return document


def _take_memory(parts: AgentParts, parent: Document, *, file: str, faults: FaultList) -> None:
    """Put the parent's entries into the memory to be; entries of undeclared blocks are one fault a block."""
    homeless = Counter(entry.block for entry in parent.memory.tree if entry.block not in parts.blocks)
    for block, count in sorted(homeless.items()):
        faults.add(
            Fault(
                message=f"`memory` declares no block `{block}`, in which the parent keeps {count} entries",
                file=file,
                hint="declare the block, or erase the entries first",
            )
        )
    if not homeless:
        parts.memory["entries"] = [entry_value(entry) for entry in parent.memory.tree]


def _add_located(error: DocumentError, origins: OriginMap, *, file: str, faults: FaultList) -> None:
    seen = {(fault.file, fault.line, fault.column) for fault in faults.faults}
    unfit = [fault for fault in error.faults if fault.pointer.startswith(_ENTRIES)]
    unsaid = frozenset(unfit[_MOST_UNFIT:])
    if unsaid:
        faults.add(Fault(message=f"{len(unsaid)} more memory entries of the parent do not fit", file=file))
    for fault in error.faults:
        if fault in unsaid:
            continue
        located = origins.locate(fault)
        if not located.file:
            located = Fault(message=fault.message, file=file, pointer=fault.pointer, hint=fault.hint)
        # One mistake, one fault: where the folder's reader has spoken, the document's fault is an echo.
        if not located.line or (located.file, located.line, located.column) not in seen:
            faults.add(located)


def _place_rules(parts: AgentParts, placed: tuple[PlacedRule, ...]) -> None:
    for rule in placed:
        kind, _, name = rule.place.partition(":")
        holder: JsonObject
        if kind == "tool":
            index = parts.tools[name]
            pointer = f"/capabilities/tools/{index}/rules"
            holder = cast("JsonObject", cast("list[JsonValue]", parts.capabilities["tools"])[index])
            rules = holder.setdefault("rules", [])
        elif kind == "memory":
            index = parts.blocks[name]
            pointer = f"/memory/blocks/{index}/rules"
            holder = cast("JsonObject", cast("list[JsonValue]", parts.memory["blocks"])[index])
            rules = holder.setdefault("rules", [])
        elif kind == "dispatch":
            pointer, rules = "/capabilities/dispatch", parts.capabilities["dispatch"]
        else:
            pointer, rules = f"/governance/{kind}", parts.governance[kind]
        members = cast("list[JsonValue]", rules)
        _map_rule(parts.origins, f"{pointer}/{len(members)}", rule)
        members.append(rule.value)


def _map_rule(origins: OriginMap, pointer: str, rule: PlacedRule) -> None:
    if isinstance(rule.node.value, str):
        whole = Origin(file=rule.node.source.file, line=1, column=1)
        origins.places[pointer] = origins.places[f"{pointer}/{escape('cedar')}"] = whole
    else:
        origins.map(pointer, rule.node)


def default_output(folder: Path) -> Path:
    """Return where `remit build FOLDER` writes: `FOLDER/<folder name>.agent.json`."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", folder.resolve().name).strip("-.") or "agent"
    return folder / f"{name}{SUFFIX}"


def write_document(document: Document, path: Path, *, format: Format = "json", force: bool = False) -> None:  # noqa: A002  # the carriers' own word
    """Write a document whole or not at all.

    Args:
        document: what to write.
        path: where; its folder must exist.
        format: json, yaml or cbor.
        force: overwrite whatever is there.

    Raises:
        DocumentError: the file holds something that must not be lost, or cannot be written.
    """
    write_whole(path, document_bytes(document, path, format=format, force=force))


def document_bytes(document: Document, path: Path, *, format: Format = "json", force: bool = False) -> bytes:  # noqa: A002  # the carriers' own word
    """Return what `write_document` would write, or refuse as it would; nothing is written.

    Raises:
        DocumentError: the file holds something that must not be lost, or the document is too large to read.
    """
    if not force:
        _refuse_loss(document, path)
    data = serialize_document(document, format=format)
    bound = MAX_YAML_BYTES if format == "yaml" else MAX_BYTES
    if len(data) > bound:
        raise DocumentError(
            Fault(
                message=f"the document would have {math.ceil(len(data) * 10 / _MEBIBYTE) / 10:g} MiB, "
                f"more than the {bound // _MEBIBYTE} MiB that can be read again",
                file=path.as_posix(),
                hint="keep large data outside of the document, or split the memory among several agents",
            )
        )
    return data


def _refuse_loss(document: Document, path: Path) -> None:
    if not path.exists():
        return
    try:
        existing = parse_document(path.read_bytes(), file=path.as_posix(), format=format_of(path.name))
    except (DocumentError, OSError) as error:
        raise DocumentError(
            Fault(
                message=f"`{path.as_posix()}` exists and is not a document that can be read",
                hint="remove it, or overwrite it with `--force`",
            )
        ) from error
    size = len(existing.lineage.operations)
    same = existing.identity.agent == document.identity.agent
    if same and size > len(document.lineage.operations):
        raise DocumentError(
            Fault(
                message=f"`{path.as_posix()}` holds revision {size} of this very agent, "
                "and building would throw its history away",
                hint="amend the running agent instead, write elsewhere with `--output`, or use `--force`",
            )
        )
    lost = _lost_of_another(existing, document) if not same else ""
    if lost:
        raise DocumentError(
            Fault(
                message=f"`{path.as_posix()}` {lost}",
                hint=("write elsewhere with `--output`" if size > 1 else "use `--from FILE` again")
                + ", or overwrite it with `--force`",
            )
        )


def _lost_of_another(existing: Document, document: Document) -> str:
    """Return what overwriting the document of another agent would lose, in words that follow its file's name.

    A document of rules alone is made anew from its folder, so nothing of it is lost.
    """
    parents = existing.lineage.parents
    count = len(existing.memory.tree)
    if not {*parents} <= {*document.lineage.parents}:
        memory = f", and {count} memory entries" if count else ""
        return f"names a parent that what would be written lacks{memory}"
    size = len(existing.lineage.operations)
    kept = {entry.id: entry.commitment for entry in document.memory.tree}
    missing = sum(kept.get(entry.id) != entry.commitment for entry in existing.memory.tree)
    if missing:
        return f"holds {missing} memory entries that what would be written lacks"
    if size > 1:
        return f"holds revision {size} of another agent, whose history would be thrown away"
    return ""


def write_whole(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file as `whole_file` does.

    Raises:
        DocumentError: the file cannot be written; what was there before is unharmed.
    """
    with whole_file(path, mode=mode) as stream:
        stream.write(data)


@contextlib.contextmanager
def whole_file(path: Path, *, mode: int = 0o644) -> Generator[BinaryIO]:
    """Yield a file to write by way of a temporary one in the same folder: flush, fsync, rename.

    Whatever ends the writing early, an interrupt too, leaves no part of the file behind.

    Raises:
        DocumentError: the file cannot be written, or something is there that is no file; what was there
            before is unharmed.
    """
    require_file(path)
    temporary = ""
    try:
        try:
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
            with os.fdopen(handle, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).chmod(mode)
            Path(temporary).replace(path)
        except BaseException:
            if temporary:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()
            raise
    except OSError as error:
        raise DocumentError(
            Fault(message=f"`{path.as_posix()}` cannot be written: {error.strerror or error}")
        ) from error
    _sync_folder(path.parent)


def require_file(path: Path) -> None:
    """Refuse a place where something is that is no file: a rename would put a file over a device or a pipe.

    Raises:
        DocumentError: a folder, a device, a pipe or a socket is there.
    """
    try:
        kind = path.stat().st_mode
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(kind):
        what = "a folder" if stat.S_ISDIR(kind) else "no file but a device, a pipe or a socket"
        raise DocumentError(
            Fault(message=f"`{path.as_posix()}` cannot be written: it is {what}", hint="name a file")
        )


def _sync_folder(folder: Path) -> None:
    """Make the rename durable where the system can open folders (not on Windows)."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
