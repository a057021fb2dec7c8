"""Timestamps in a bundle: responses of outside authorities, each beside the checkpoint that it is about."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from remit.errors import LedgerError
from remit.ports import NoTimestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from remit.document.values import JsonObject
    from remit.ports import Timestamping
    from remit.workbench.evidence.archive import BundleReader

RESPONSE_SUFFIX: Final = ".tsr"
_NOTE_SUFFIX: Final = ".note"
_FOLDER: Final = "checkpoints/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorities:
    """Whom a verifier believes about time.

    Args:
        timestamping: checks responses.
        certificates: files of trusted certificates, at least one.
    """

    timestamping: Timestamping
    certificates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointTime:
    """What an authority signed about a checkpoint of the bundle.

    Args:
        checkpoint: its file.
        at: RFC 3339 UTC time at which it existed.
        authority: name in the certificate that signed.
    """

    checkpoint: str
    at: str
    authority: str

    def to_json(self) -> JsonObject:
        """Return it as a JSON object."""
        return {"checkpoint": self.checkpoint, "at": self.at, "authority": self.authority}


def placed(responses: Sequence[bytes], notes: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield each response with its file in the bundle, beside the note whose digest it holds.

    Args:
        responses: as authorities sent them; whether they hold is for the verifier to say.
        notes: the bundle's checkpoints by file.

    Raises (while iterating):
        LedgerError: a response is about none of them.
    """
    for number, response in enumerate(responses, start=1):
        about = [name for name, note in notes.items() if any(digest in response for digest in _digests(note))]
        if not about:
            raise LedgerError(
                f"timestamp {number} is about none of the checkpoints here: name its note with `--checkpoint`"
            )
        yield f"{about[0].removesuffix(_NOTE_SUFFIX)}.{number}{RESPONSE_SUFFIX}", response


def _digests(note: bytes) -> Iterable[bytes]:
    return (hashlib.new(name, note).digest() for name in ("sha256", "sha384", "sha512"))


def check_timestamps(
    reader: BundleReader, authorities: Authorities | None, find: Callable[[str, str], None]
) -> tuple[tuple[CheckpointTime, ...], int]:
    """Return what holds, and how many responses were not checked since nobody is trusted about time.

    Args:
        reader: the bundle.
        authorities: whom the verifier believes; with them, a bundle without a timestamp is a finding.
        find: takes what is wrong.

    Raises:
        AdapterError: a certificate cannot be read.
    """
    names = [name for name in reader.names if name.startswith(_FOLDER) and name.endswith(RESPONSE_SUFFIX)]
    if authorities is None:
        return (), len(names)
    if not names:
        find(_FOLDER.rstrip("/"), "no timestamp is in the bundle")
    times: list[CheckpointTime] = []
    for name in names:
        note = name.removesuffix(RESPONSE_SUFFIX).rpartition(".")[0] + _NOTE_SUFFIX
        if note not in reader.names:
            find(name, "belongs to no checkpoint in the bundle")
            continue
        found = authorities.timestamping.verify(
            reader.read(name), reader.read(note), authorities=authorities.certificates
        )
        if isinstance(found, NoTimestamp):
            find(name, f"shows no time: {found.message}")
        else:
            times.append(CheckpointTime(checkpoint=note, at=found.at, authority=found.authority))
    return tuple(times), 0
