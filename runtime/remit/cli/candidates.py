"""What is judged beside what is enforced: a project folder, a document, or a pack put into an agent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from remit.cli.agents import STORE_FOLDER, existing_store, read_target
from remit.cli.exits import bad_input
from remit.cli.options import pairs_from
from remit.host.candidate import candidate_of
from remit.host.location import Location, location_of
from remit.policy.compile import compile_governance
from remit.project.build import AGENT_FILE
from remit.project.packs.fitting import fit_pack, pinned_uses
from remit.project.packs.folder import is_pack
from remit.project.packs.sources import named_pack, shipped_names, shipped_pack
from remit.project.source import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from remit.document.model import Document
    from remit.document.values import JsonObject
    from remit.host.candidate import Candidate
    from remit.policy.packs.pack import Pack
    from remit.project.packs.folder import PackFolder

F = TypeVar("F", bound="Callable[..., object]")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackCandidate:
    """A candidate that is an agent with a pack put into it.

    Args:
        candidate: the agent's newest document with the pack's rules.
        notes: what a reader must know of it, one sentence each.
    """

    candidate: Candidate
    notes: tuple[str, ...]


def with_option(function: F) -> F:
    """Add `--with`."""
    return click.option(
        "--with",
        "values",
        multiple=True,
        metavar="NAME=VALUE",
        help="Value of a pack's parameter, as text or JSON; repeatable.",
    )(function)


def ledger_place(label: str) -> Location:
    """Return the store that the user named: itself, or `.remit` of a project folder."""
    place = location_of(label)
    if place.folder is None:
        return place
    path = place.folder
    if (path / AGENT_FILE).is_file() and (path / STORE_FOLDER).is_dir():
        path /= STORE_FOLDER
    if path.exists() and not path.is_dir():
        raise bad_input(f"`{label}` is a file, not a store's folder", "name the folder, such as `.remit`")
    return existing_store(path.as_posix())


def named_candidate(label: str) -> Candidate:
    """Read and compile a project folder or a document.

    Raises:
        DocumentError: it cannot be accepted.
        PolicyError: it does not compile.
    """
    target = read_target(label)
    return candidate_of(target.document, target.compile())


def pack_called(label: str) -> PackFolder | None:
    """Return the pack that the user named, by folder or by the name of a shipped one; None if it is none.

    Raises:
        DocumentError: the pack is wrong.
        FaultsError: nothing is called so.
    """
    path = Path(label)
    if path.exists():
        return named_pack(label) if is_pack(path) and not (path / AGENT_FILE).is_file() else None
    if label in shipped_names():
        return named_pack(label)
    near = nearest(label, shipped_names())
    hint = f"{near} give a project folder, a document file, or a pack".strip()
    raise bad_input(f"`{label}` does not exist", hint)


def pack_candidate(
    document: Document, found: PackFolder, values: Sequence[str], *, known: Sequence[PackFolder] = ()
) -> PackCandidate:
    """Put a pack into an agent's document and compile it.

    Args:
        document: the agent's newest document.
        found: the pack.
        values: `name=value` texts, for every use of it.
        known: other versions at hand.

    Raises:
        DocumentError: the values do not fit, or the agent lacks what the pack requires.
        PolicyError: the rules do not compile for this agent.
    """
    pack = found.pack
    versions = [item.pack for item in (found, *known)]
    uses = pinned_uses(document, pack.name, known=(*versions, *_shipped(pack.name)))
    fitted = fit_pack(document, found, uses, given=_given(found, values))
    image = compile_governance(fitted.document, origins=fitted.origins)
    where = ", ".join(fitted.aliases)
    what = f"is replaced by version {pack.version} as {where}" if uses else f"is added as {where}"
    notes = [f"The candidate is the agent's newest document, in which the pack {pack.name} {what}."]
    at_hand = {item.digest for item in (*versions, *_shipped(pack.name))}
    if any(pin.name == pack.name and pin.digest not in at_hand for pin in document.governance.packs):
        notes.append(
            "The pinned version is not at hand, so all values of its pin are kept, its defaults among them."
        )
    if fitted.left_out:
        notes.append(f"Version {pack.version} has no parameter {', '.join(fitted.left_out)}: left out.")
    return PackCandidate(candidate=candidate_of(fitted.document, image), notes=tuple(notes))


def _shipped(name: str) -> Iterator[Pack]:
    if name in shipped_names():
        yield shipped_pack(name).pack


def _given(found: PackFolder, values: Sequence[str]) -> JsonObject:
    schema = found.head.get("parameters")
    return pairs_from(values, option="--with", schema=schema if isinstance(schema, dict) else None)
