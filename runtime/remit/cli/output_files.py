"""What `-o FILE` may do with a file that is there.

Rules
1. A copy of what is in a ledger or a document (an export, a bundle of evidence) is not written over a file
   that exists, unless `--force` says so: what it was made of may have been erased or pruned since.
2. What can be made again at any time (reports, checkpoints, proofs, compiled policies) takes the place of
   the file that was there, whole or not at all.
3. A key, and an archive of what was pruned, are never overwritten.
4. What is there and is no file is left alone (`remit.project.build.require_file`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click

from remit.cli.exits import bad_input
from remit.project.build import require_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    F = TypeVar("F", bound=Callable[..., object])


def force_option(function: F) -> F:
    """Add `--force`."""
    return click.option("--force", is_flag=True, help="Overwrite the file.")(function)


def require_new(path: Path, *, force: bool) -> None:
    """Refuse, before any work is done, a file that would be lost (rules 1 and 4).

    Raises:
        FaultsError: it exists and `force` is not given, or it is no file.
    """
    require_file(path)
    if path.exists() and not force:
        raise bad_input(f"`{path.as_posix()}` exists", "name another file, or overwrite it with `--force`")
