"""How a verb opens an agent that is in a store already: where its tools are, whose signatures it needs."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from remit.cli.agents import read_target
from remit.cli.exits import bad_input
from remit.cli.telemetry import chosen_telemetry
from remit.host.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.document.model import Document
    from remit.host.location import Location
    from remit.host.stores import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What the options of `opening_options` say.

    Args:
        folder: where Python tools are found; None for beside the store.
        trust: path of a trust policy, or None.
        signed: documents whose signatures count.
    """

    folder: str | None = None
    trust: str | None = None
    signed: tuple[str, ...] = ()

    def runtime(
        self, head: Document, *, store: Store, place: Location, backend: str | None = None
    ) -> Runtime:
        """Open the agent whose head is `head`.

        Raises:
            DocumentError: the trust policy does not trust the head, or a signed document cannot be read.
            FaultsError: signed documents were given and no policy to hold them against.
        """
        telemetry = chosen_telemetry()
        return Runtime.open(
            head,
            store=store,
            folder=tools_folder(self.folder, place),
            backend=backend,
            telemetry=telemetry.sinks,
            telemetry_content=telemetry.content,
            trust=self.trust,
            signed=self.documents(),
        )

    def documents(self) -> list[Document]:
        """Return the signed documents.

        Raises:
            DocumentError: one cannot be read.
            FaultsError: some are given, and no policy to hold them against.
        """
        if self.signed and self.trust is None:
            raise bad_input("`--signed` needs a trust policy", "name one with `--trust FILE`")
        return [read_target(name).document for name in self.signed]

    def words(self) -> tuple[str, ...]:
        """Return the options as the next verb needs them."""
        given = [("--folder", self.folder), ("--trust", self.trust)]
        given += [("--signed", name) for name in self.signed]
        return tuple(word for name, value in given if value is not None for word in (name, value))


PLAIN: Final = Opening()
"""No option was given."""


def tools_folder(option: str | None, store: Location) -> Path:
    """Return where Python tools are found: the option, else the folder that the store lies in."""
    return Path(option) if option is not None else store.beside


def opening_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add `--folder`, `--trust` and `--signed`, which the verb gets as one `opening`."""

    @click.option(
        "--folder",
        default=None,
        metavar="DIR",
        help="Where Python tools are found. Default: beside the store.",
    )
    @click.option(
        "--trust",
        default=None,
        metavar="FILE",
        help="Trust policy: act only while what an amendment changes is signed as it says.",
    )
    @click.option(
        "--signed",
        multiple=True,
        metavar="DOC",
        help="A signed revision of the agent, for `--trust`; repeatable, the one that was opened first.",
    )
    @functools.wraps(function)
    def call(
        *args: object, folder: str | None, trust: str | None, signed: tuple[str, ...], **kwargs: object
    ) -> None:
        function(*args, opening=Opening(folder=folder, trust=trust, signed=signed), **kwargs)

    return call


def answer_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add what `approve` and `refuse` ask of a person: `--reason`, `--meaning` and `--continue`."""
    function = click.option("--continue", "go_on", is_flag=True, help="Let the run go on at once.")(function)
    function = click.option(
        "--meaning",
        type=click.Choice(("review", "approval", "responsibility", "authorship")),
        default="approval",
        show_default=True,
        help="What the act means.",
    )(function)
    return click.option("--reason", required=True, help="Why, in the person's own words.")(function)
