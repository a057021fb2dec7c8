"""A pruned segment of a log as a file that verifies on its own.

A file of JSON lines, UTF-8:

    {"format": "remit/ledger-archive/1", "origin", "verifier_key", "verifier_keys"?: […], "first", "before",
        "start": {…}}
    {"leaf": "<the record's bytes>", "salt"?: "<hex>", "content"?: "<its bytes>"}      one a record
    {"checkpoint": "<signed note>", "number", "size"}          one a checkpoint, the last of size `before`

Rules
1. The last checkpoint signs exactly the records up to `before`: the peaks in `start` and the records give its
   root. Nothing outside the file is needed but the verifier's key.
2. `verifier_keys` is there where more than one host may have signed; `verifier_key` is the first of them.
3. A content that was erased before is not there; the records that say so may lie after the segment.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from remit.errors import LedgerError
from remit.ledger.checkpoint import parse_verifier_key
from remit.ledger.encoding import decode_leaf
from remit.ledger.pruned import Start
from remit.ledger.report import RawRecord, StoredNote
from remit.ledger.verification import verify_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from remit.document.values import JsonObject
    from remit.ledger.report import LogReport

FORMAT: Final = "remit/ledger-archive/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The oldest part of a log that is there.

    Args:
        origin: name of the log.
        verifier_keys: texts of the keys that sign its checkpoints, one for each host; at least one.
        start: what it begins with.
        records: its rows, in order.
        notes: its checkpoints, in order; the last one signs exactly these records.
    """

    origin: str
    verifier_keys: tuple[str, ...]
    start: Start
    records: tuple[RawRecord, ...]
    notes: tuple[StoredNote, ...]

    def verify(self, *, keys: Sequence[str] = (), held: Iterable[str] = ()) -> LogReport:
        """Verify the segment; `keys` are the verifier's own, the file's where none are given."""
        return verify_log(
            self.records,
            checkpoints=self.notes,
            verifier_keys=[parse_verifier_key(text) for text in keys or self.verifier_keys],
            origin=self.origin,
            held=held,
            segment=self.start,
        )


def write_archive(path: Path, segment: Segment) -> str:
    """Write a segment to a new file, durably, and return its digest, `sha256:<hex>`.

    Raises:
        LedgerError: the file exists, or it cannot be written.
    """
    digest = hashlib.sha256()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for line in _lines(segment):
                data = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
                digest.update(data)
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise LedgerError(f"`{path}` exists: an archive is never overwritten; name another file") from error
    except OSError as error:
        raise LedgerError(
            f"cannot write the archive `{path}`: {(error.strerror or str(error)).lower()}"
        ) from error
    return "sha256:" + digest.hexdigest()


def _lines(segment: Segment) -> Iterator[JsonObject]:
    several: JsonObject = {"verifier_keys": [*segment.verifier_keys]} if segment.verifier_keys[1:] else {}
    yield {
        "format": FORMAT,
        "origin": segment.origin,
        "verifier_key": segment.verifier_keys[0],
        **several,
        "first": segment.start.index,
        "before": segment.start.index + len(segment.records),
        "start": segment.start.to_json(),
    }
    for row in segment.records:
        line: JsonObject = {"leaf": row.leaf.decode()}
        if row.salt is not None and row.content is not None:
            line["salt"], line["content"] = row.salt.hex(), row.content.decode()
        yield line
    for note in segment.notes:
        yield {"checkpoint": note.note, "number": note.number, "size": note.size}


def read_archive(path: Path) -> Segment:
    """Read what `write_archive` wrote; nothing of it is believed before it is verified.

    Raises:
        LedgerError: it cannot be read or is no archive; names the line.
    """
    number = 0
    try:
        with path.open("rb") as file:
            head: JsonObject = {}
            origin = ""
            keys: tuple[str, ...] = ()
            records: list[RawRecord] = []
            notes: list[StoredNote] = []
            for number, data in enumerate(file, start=1):
                line = _object(json.loads(data))
                if number == 1:
                    head, origin, keys = line, _text(line["origin"]), _keys(line)
                elif "leaf" in line:
                    records.append(_record(line))
                else:
                    notes.append(
                        StoredNote(
                            number=_integer(line["number"]),
                            size=_integer(line["size"]),
                            note=_text(line["checkpoint"]),
                        )
                    )
    except OSError as error:
        raise LedgerError(f"cannot read `{path}`: {(error.strerror or str(error)).lower()}") from error
    except LedgerError as error:
        raise LedgerError(f"`{path}`, line {number}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LedgerError(f"`{path}`, line {number}, is not of an archive: {type(error).__name__}") from error
    start = head.get("start")
    found = Start.from_json(start) if isinstance(start, dict) else None
    if head.get("format") != FORMAT or found is None:
        raise LedgerError(f"`{path}` is no archive of a ledger in format `{FORMAT}`")
    return Segment(
        origin=origin,
        verifier_keys=keys,
        start=found,
        records=tuple(records),
        notes=tuple(notes),
    )


def _keys(line: JsonObject) -> tuple[str, ...]:
    first, several = _text(line["verifier_key"]), line.get("verifier_keys")
    if several is None:
        return (first,)
    if not isinstance(several, list):
        raise TypeError("a list was expected")
    return (first, *(text for item in several if (text := _text(item)) != first))


def _record(line: JsonObject) -> RawRecord:
    leaf = _text(line["leaf"]).encode()
    value = decode_leaf(leaf)
    salt, content = line.get("salt"), line.get("content")
    return RawRecord(
        index=_integer(value["index"]),
        leaf=leaf,
        kind=str(value["kind"]),
        agent=str(value["agent"]),
        run=str(value["run"]),
        salt=None if salt is None else bytes.fromhex(_text(salt)),
        content=None if content is None else _text(content).encode(),
    )


def _object(value: object) -> JsonObject:
    if not isinstance(value, dict):
        raise TypeError("an object was expected")
    return cast("JsonObject", value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value


def _integer(value: object) -> int:
    if type(value) is not int:
        raise TypeError("an integer was expected")
    return value
