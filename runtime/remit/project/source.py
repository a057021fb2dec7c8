"""The author's files: read strictly, with the position of every value, and the faults found in them.

Rules
1. Every file lies inside the folder, is UTF-8 and is bounded in size; a symbolic link that leaves the folder
   counts as outside.
2. A fault names the file as the author would type it from where they stand: folder and relative path.
3. Faults are collected, not raised one by one; `FaultList.settle` raises them all.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from remit.document.carriers import read_value
from remit.errors import DocumentError, Fault, FaultsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from remit.document.places import Parsed
    from remit.document.values import JsonObject, JsonValue

MAX_FILE_BYTES = 8 * 1024 * 1024


@dataclass(slots=True, kw_only=True)
class FaultList:
    """Collects faults until the end of reading.

    Attributes:
        faults: in the order in which they were found.
    """

    faults: list[Fault] = field(default_factory=list[Fault])

    def add(self, fault: Fault) -> None:
        """Keep one fault."""
        if fault not in self.faults:
            self.faults.append(fault)

    def extend(self, error: FaultsError) -> None:
        """Keep every fault of an error."""
        for fault in error.faults:
            self.add(fault)

    def settle(self) -> None:
        """Raise everything that was found.

        Raises:
            DocumentError: at least one fault was kept.
        """
        if self.faults:
            raise DocumentError(*self.faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file of the author.

    Args:
        file: how faults call it.
        relative: POSIX path within the folder.
        text: its content.
        parsed: its value with positions; None for files that are not YAML.
    """

    file: str
    relative: str
    text: str
    parsed: Parsed | None = None

    def place(self, pointer: str) -> tuple[int, int]:
        """Return 1-based line and column of the value at `pointer`, or of its nearest parent."""
        return (1, 1) if self.parsed is None else self.parsed.place(pointer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value in a file, with its place."""

    source: Source
    pointer: str
    value: JsonValue

    def fault(self, message: str, hint: str = "") -> Fault:
        """Make a fault at this value."""
        line, column = self.source.place(self.pointer)
        return Fault(message=message, file=self.source.file, line=line, column=column, hint=hint)

    def object(self) -> JsonObject | None:
        """Return the value if it is an object, else None."""
        return self.value if isinstance(self.value, dict) else None

    def member(self, key: str) -> Node:
        """Return the member `key`, which must exist."""
        members = cast("JsonObject", self.value)
        return Node(source=self.source, pointer=f"{self.pointer}/{escape(key)}", value=members[key])

    def members(self) -> Iterator[tuple[str, Node]]:
        """Iterate over an object's members."""
        for key in cast("JsonObject", self.value):
            yield key, self.member(key)

    def items(self) -> Iterator[Node]:
        """Iterate over a list's items."""
        for index, item in enumerate(cast("list[JsonValue]", self.value)):
            yield Node(source=self.source, pointer=f"{self.pointer}/{index}", value=item)


def escape(key: str) -> str:
    """Write one reference token of a JSON pointer (RFC 6901, section 3)."""
    return key.replace("~", "~0").replace("/", "~1")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the hint `did you mean …`, or an empty text where nothing is close."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean `{found[0]}`?" if found else ""


def check_keys(
    node: Node, *, known: Iterable[str], required: Iterable[str] = (), what: str, faults: FaultList
) -> bool:
    """Check that `node` is an object with known keys and all required ones; `x-` keys are free.

    Returns:
        Whether it is an object at all, so that reading its members makes sense.
    """
    members = node.object()
    names = tuple(known)
    if members is None:
        faults.add(
            node.fault(f"{what} is {kind_of(node.value)}, not a mapping", f"its keys are {listing(names)}")
        )
        return False
    for key in members:
        if key not in names and not key.startswith("x-"):
            hint = nearest(key, names) or f"known keys are {listing(names)}"
            faults.add(key_fault(node, key, f"unknown key `{key}` in {what}", hint))
    for key in required:
        if key not in members:
            faults.add(node.fault(f"{what} lacks `{key}`", f"add `{key}:`"))
    return True


def key_fault(node: Node, key: str, message: str, hint: str) -> Fault:
    """Make a fault at a key of `node`, rather than at its value."""
    child = node.member(key)
    parsed = child.source.parsed
    if parsed is None:
        return child.fault(message, hint)
    line, column = parsed.place_of_name(child.pointer)
    return Fault(message=message, file=child.source.file, line=line, column=column, hint=hint)


def kind_of(value: JsonValue) -> str:
    """Name the kind of a value for people, with its article."""
    kinds: tuple[tuple[type, str], ...] = (
        (dict, "a mapping"),
        (list, "a list"),
        (str, "a text"),
        (bool, "a truth value"),
    )
    for kind, name in kinds:
        if isinstance(value, kind):
            return name
    return "nothing" if value is None else "a number"


def listing(names: Iterable[str]) -> str:
    """Write names as `a`, `b`, `c`."""
    return ", ".join(f"`{name}`" for name in names)


def real_path(path: Path) -> Path:
    """Return where a path leads; a loop of links leads to itself, where `Path.resolve` raises."""
    return Path(os.path.realpath(path))


def read_bytes(folder: Path, relative: str, *, file: str) -> bytes:
    """Read one file of the folder.

    Raises:
        DocumentError: missing, outside the folder, not a file, too large or not readable.
    """
    path = folder / relative
    fault: Fault
    try:
        if not real_path(path).is_relative_to(real_path(folder)):
            fault = Fault(message=f"`{relative}` leaves the project folder", file=file)
        elif path.is_dir():
            fault = Fault(message=f"`{relative}` is a folder, not a file", file=file)
        elif path.stat().st_size > MAX_FILE_BYTES:
            fault = Fault(
                message=f"`{relative}` has {path.stat().st_size} bytes, more than {MAX_FILE_BYTES}", file=file
            )
        else:
            return path.read_bytes()
    except FileNotFoundError:
        fault = Fault(message=f"`{relative}` does not exist", file=file)
    except OSError as error:
        fault = Fault(message=f"`{relative}` cannot be read: {error.strerror or error}", file=file)
    except ValueError:
        fault = Fault(message=f"`{relative!r}` is not a path", file=file)
    raise DocumentError(fault)


def read_text(folder: Path, relative: str, *, label: str = "") -> Source:
    """Read one UTF-8 text file of the folder.

    Args:
        folder: the folder.
        relative: POSIX path within it.
        label: how faults call the folder; empty where they call it as `folder` says.

    Raises:
        DocumentError: it cannot be read or is not UTF-8.
    """
    file = f"{label}/{relative}" if label else shown_path(folder, relative)
    data = read_bytes(folder, relative, file=file)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise DocumentError(
            Fault(
                message=f"not UTF-8: byte 0x{data[error.start]:02x}",
                file=file,
                line=line,
                column=column,
                hint="save the file as UTF-8",
            )
        ) from error
    return Source(file=file, relative=relative, text=text.replace("\r\n", "\n"))


def read_yaml(folder: Path, relative: str, *, label: str = "") -> Node:
    """Read one YAML file of the folder strictly.

    Args:
        folder: the folder.
        relative: POSIX path within it.
        label: how faults call the folder; empty where they call it as `folder` says.

    Raises:
        DocumentError: it cannot be read, is not UTF-8 or is not strict YAML.
    """
    source = read_text(folder, relative, label=label)
    parsed = read_value(source.text.encode(), format="yaml", file=source.file)
    whole = Source(file=source.file, relative=relative, text=source.text, parsed=parsed)
    return Node(source=whole, pointer="", value=parsed.value)


def shown_path(folder: Path, relative: str) -> str:
    """Return how a fault calls a file: folder as the user gave it, and the relative path."""
    return relative if folder == Path() else (folder / relative).as_posix()


def files_in(folder: Path, sub: str, *suffixes: str) -> tuple[str, ...]:
    """List what is below `folder/sub` with one of the suffixes, as sorted relative POSIX paths.

    Also what is no file, such as a link that leads nowhere: who reads it is told so, and no rule goes unread.
    """
    root = folder / sub
    if not root.is_dir():
        return ()
    found = (path for path in root.rglob("*") if path.suffix in suffixes)
    return tuple(sorted(path.relative_to(folder).as_posix() for path in found))
