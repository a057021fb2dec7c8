"""What a verb works on: a built document, a project folder, or an agent in a store."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from remit.cli.exits import bad_input
from remit.cli.output import short
from remit.document.carriers import format_of
from remit.document.parse import parse_document
from remit.errors import DocumentError, Fault, FaultsError
from remit.host.location import Location, location_of
from remit.policy.compile import compile_governance
from remit.policy.origins import Origin
from remit.project.build import build_project

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remit.document.model import Document
    from remit.engine.image import PolicyImage
    from remit.host.stores import Store
    from remit.project.packs.use import UsedPack

STORE_VARIABLE = "REMIT_STORE"
STORE_FOLDER = ".remit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An agent as the user named it.

    Args:
        document: the built or parsed document.
        origins: where its rules were written; empty for a document file.
        folder: where Python tools and relative paths are found.
        label: what the user typed.
        project: whether it was a project folder.
        packs: the packs that the project uses.
    """

    document: Document
    folder: Path
    label: str
    project: bool
    origins: Mapping[str, Origin] = field(default_factory=dict[str, Origin])
    packs: tuple[UsedPack, ...] = ()

    def store(self, option: str | None) -> Location:
        """Return where the store lies: the option, REMIT_STORE, or `.remit` in the project folder or here."""
        return store_place(option, default=self.folder / STORE_FOLDER if self.project else None)

    def compile(self, *, progress: Callable[[int, int], None] | None = None) -> PolicyImage:
        """Compile its governance, with faults at the author's lines.

        Args:
            progress: called for each rule with its number and how many there are.

        Raises:
            PolicyError: it does not compile.
        """
        return compile_governance(self.document, origins=self.origins, progress=progress)


def read_target(label: str, *, fetch_tools: bool = False) -> Target:
    """Read a document file, or build a project folder.

    Raises:
        DocumentError: it does not exist or cannot be accepted.
    """
    path = Path(label)
    if path.is_dir():
        built = build_project(path, fetch_tools=fetch_tools)
        return Target(
            document=built.document,
            origins=built.origins,
            folder=path,
            label=label,
            project=True,
            packs=built.packs,
        )
    document = parse_document(read_file(label), file=label, format=format_of(path.name))
    return Target(document=document, folder=path.parent, label=label, project=False)


def read_file(label: str, *, hint: str = "give a project folder or a document file") -> bytes:
    """Read a whole file.

    Args:
        label: its path as the user typed it.
        hint: what to do where it does not exist.

    Raises:
        DocumentError: it does not exist, is a folder or cannot be read.
    """
    try:
        return Path(label).read_bytes()
    except FileNotFoundError:
        fault = Fault(message=f"`{label}` does not exist", hint=hint)
    except IsADirectoryError:
        fault = Fault(message=f"`{label}` is a folder, not a file")
    except OSError as error:
        fault = Fault(message=f"`{label}` cannot be read: {error.strerror or error}")
    except ValueError as error:
        fault = Fault(message=f"`{label}` is not a path: {error}")
    raise DocumentError(fault)


def read_text(label: str, *, hint: str) -> str:
    """Read a whole file as UTF-8.

    Raises:
        DocumentError: as `read_file`.
        FaultsError: it is no UTF-8 text.
    """
    try:
        return read_file(label, hint=hint).decode()
    except UnicodeDecodeError as error:
        raise bad_input(f"`{label}` is not UTF-8 text") from error


def store_place(option: str | None, *, default: Path | None = None) -> Location:
    """Return where the store lies, without touching it."""
    if option == "":
        raise bad_input("`--store` is empty", "name a folder, or a `postgresql://` address")
    chosen = option or os.environ.get(STORE_VARIABLE, "")
    return location_of(chosen or default or STORE_FOLDER)


def is_store_named(option: str | None) -> bool:
    """Whether the user named a store, by option or environment."""
    return bool(option or os.environ.get(STORE_VARIABLE, ""))


def existing_store(option: str | None) -> Location:
    """Return where a store lies that is there already; of an address, its server will say.

    Raises:
        FaultsError: there is none; says how to name one.
    """
    place = store_place(option)
    if place.begun:
        return place
    raise no_store(place)


def no_store(place: Location) -> FaultsError:
    """Say that there is no store at a place, and how to name one."""
    return bad_input(
        f"there is no store in `{place.shown}`",
        "name it with `--store DIR`; a project's store is `FOLDER/.remit`",
    )


def find_agent(store: Store, name: str) -> Document:
    """Return the head document of an agent in a store.

    Args:
        store: the store.
        name: an agent id or a unique beginning of one; empty where the store holds one agent only.

    Raises:
        FaultsError: none, or several, are meant.
    """
    agents = store.agents()
    if not agents:
        raise bad_input("the store holds no agent", "run one first")
    wanted = name.removeprefix("sha256:")
    found = [agent for agent, _ in agents if agent.removeprefix("sha256:").startswith(wanted)]
    listed = ", ".join(f"`{short(agent)}`" for agent, _ in agents[:8])
    if not found:
        raise bad_input(f"the store holds no agent `{name}`", f"it holds {listed}")
    if len(found) > 1:
        raise bad_input(
            f"`{name}` could be several agents" if name else "the store holds several agents",
            f"name one of {listed}",
        )
    document = store.load(found[0])
    if document is None:
        raise bad_input(f"the store lost agent `{short(found[0])}`", "run `remit ledger verify`")
    return document


def command_line(*words: str) -> str:
    """Write a command for people to copy."""
    return shlex.join(words)
