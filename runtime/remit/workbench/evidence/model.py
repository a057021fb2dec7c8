"""What a bundle holds, by name and shape.

README.md                      for people
verify.py, redecide.py         check the bundle with Python alone; decide again with cedarpy
manifest.json                  digests of all files; says nothing that is not recomputed
log.pub                        the log's verifier key as the operator gave it: bring your own
checkpoints/newest.note        the checkpoint that every proof leads to
checkpoints/<size>.note        a checkpoint that was kept elsewhere, with <size>.consistency from it
checkpoints/<note>.<n>.tsr     an outside authority's timestamp on that note (RFC 3161)
records.jsonl                  one record a line: index, leaf, proof, salt and content where they are
images/<digest>/               policies.cedar, schema.cedarschema, schema.json, image.json
decisions/<index>/             request.json, entities.json, expected.json
documents/<revision>.agent.json
"""

from __future__ import annotations

import base64
import json
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from remit.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.ledger.report import RawRecord

SPEC: Final = "remit/evidence/1"
MANIFEST: Final = "manifest.json"
RECORDS: Final = "records.jsonl"
NEWEST: Final = "checkpoints/newest.note"
LOG_KEY: Final = "log.pub"
README: Final = "README.md"
NO_POLICIES: Final = "its policies are not at hand: name the document of that time with `--document`"
"""Why a decision under policies that could not be made has no files of its own."""


class EvidenceSource(Protocol):
    """What an export needs of a store."""

    origin: str

    def verifier_keys(self) -> Sequence[str]:
        """Verifier keys of all that may have signed here, as the store says."""
        ...

    def checkpoint(self) -> str:
        """The newest signed checkpoint."""
        ...

    def raw(self, *, start: int = 0, stop: int | None = None) -> Iterator[RawRecord]:
        """Rows exactly as they lie there."""
        ...

    def tree_nodes(self, places: Iterable[tuple[int, int]]) -> Sequence[bytes]:
        """Digests of complete tree nodes."""
        ...

    def load(self, agent: str) -> Document | None:
        """The head document of an agent, or None."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle says about itself; a verifier recomputes all of it.

    Args:
        agent: whose records.
        since: RFC 3339 UTC time of the first moment; empty for the beginning.
        until: the first moment after; empty for the end.
        origin: name of the log.
        size: number of records that the newest checkpoint signs.
        first: index of the first record of the log in this time; equal to `size` where there is none.
        last: index of the last one.
        disclosed: whether the leaves of all other records between them are in the bundle.
        counts: how many records of the agent, by kind.
        images: whether the policies are in the bundle, by digest of each image that decisions cite.
        undecided: why a decision has no files of its own, by index.
        files: digests of all other files.
    """

    agent: str
    since: str
    until: str
    origin: str
    size: int
    first: int
    last: int
    disclosed: bool
    counts: Mapping[str, int]
    images: Mapping[str, bool]
    undecided: Mapping[int, str]
    files: Mapping[str, str]

    def to_json(self) -> JsonObject:
        """Return it as the JSON object of `manifest.json`."""
        return {
            "spec": SPEC,
            "agent": self.agent,
            "from": self.since,
            "to": self.until,
            "origin": self.origin,
            "size": self.size,
            "window": {"first": self.first, "last": self.last, "disclosed": self.disclosed},
            "records": dict(sorted(self.counts.items())),
            "images": dict(sorted(self.images.items())),
            "undecided": {str(index): why for index, why in sorted(self.undecided.items())},
            "files": dict(self.files),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of `records.jsonl`.

    Args:
        index: the record's index.
        leaf: its bytes.
        proof: that it is in the log of the newest checkpoint.
        salt: None where content is erased, withheld or was never there.
        content: None like `salt`.
    """

    index: int
    leaf: bytes
    proof: tuple[bytes, ...]
    salt: bytes | None = None
    content: bytes | None = None

    def to_bytes(self) -> bytes:
        """Return the line with its end."""
        value: JsonObject = {
            "index": self.index,
            "leaf": self.leaf.decode(),
            "proof": [base64.b64encode(digest).decode() for digest in self.proof],
        }
        if self.salt is not None and self.content is not None:
            value["salt"] = self.salt.hex()
            value["content"] = self.content.decode()
        return compact(value) + b"\n"

    @classmethod
    def from_json(cls, value: JsonValue) -> Line:
        """Read a line.

        Raises:
            LedgerError: another form.
        """
        try:
            members = cast("dict[str, Any]", value)
            salt, content = members.get("salt"), members.get("content")
            return cls(
                # Each conversion refuses another type.
                index=operator.index(members["index"]),
                leaf=str.encode(members["leaf"]),
                proof=tuple(base64.b64decode(text, validate=True) for text in members["proof"]),
                salt=None if salt is None else bytes.fromhex(salt),
                content=None if content is None else str.encode(content),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LedgerError("a line of `records.jsonl` is no record with its proof") from error


def compact(value: JsonValue) -> bytes:
    """Write JSON on one line, the same for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def pretty(value: JsonValue) -> bytes:
    """Write JSON for people, the same for the same value."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False).encode() + b"\n"


def image_folder(digest: str) -> str:
    """Return the folder of an image in a bundle."""
    return f"images/{digest.removeprefix('sha256:')}"


def decision_folder(index: int) -> str:
    """Return the folder of a decision in a bundle."""
    return f"decisions/{index}"


def named_revisions(body: JsonObject) -> set[str]:
    """Return the revisions of its agent that a record's body names."""
    return {str(body[name]) for name in ("revision", "parent", "child") if body.get(name)}


def document_name(revision: str) -> str:
    """Return the name of a document in a bundle."""
    return f"documents/{revision.removeprefix('sha256:')}.agent.json"
