"""Export: an agent's records of some time, each with its proof, and what decided them.

Rules
1. Every record is proved against the newest checkpoint before it is written; what cannot be proved is not
   exported as evidence.
2. The window is all of the log between the first and the last record of that time, of whatever agent.
   Times are written by clocks that are not one, so order is the log's.
3. Beside the agent's records go orders about no agent in that time, and whatever erased content of theirs
   later.
4. Policies come from documents: the head that the store keeps, those that are given, and what amendments
   recorded of the governance that they replaced. An image counts only by its digest.
5. Payloads of memory entries are left out of documents; commitments, identity and proofs stay. A document
   that no record of that time names stays behind; what it gives of policies does not.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import TYPE_CHECKING, cast

from remit.document.merkle import leaf_hash
from remit.document.parse import document_value, parse_document, serialize_document
from remit.document.revision import revise
from remit.errors import DocumentError, LedgerError, PolicyError
from remit.ledger.checkpoint import parse_checkpoint, parse_verifier_key, verify_checkpoint
from remit.ledger.encoding import decode_leaf, decode_record
from remit.ledger.proofs import prove_consistency, prove_inclusion
from remit.ledger.report import ERASE_CONTENT
from remit.policy.compile import compile_governance
from remit.policy.image_files import image_files
from remit.workbench.evidence.archive import BundleWriter
from remit.workbench.evidence.model import (
    LOG_KEY,
    MANIFEST,
    NEWEST,
    NO_POLICIES,
    README,
    RECORDS,
    Line,
    Manifest,
    decision_folder,
    document_name,
    image_folder,
    named_revisions,
    pretty,
)
from remit.workbench.evidence.questions import Asker, not_asked
from remit.workbench.evidence.readme import DecisionRow, readme
from remit.workbench.evidence.timestamps import placed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.engine.image import PolicyImage
    from remit.ledger.report import RawRecord
    from remit.workbench.evidence.model import EvidenceSource

    Stage = Callable[[str], Callable[[int, int], None] | None]

AMENDED = ("governance", "capabilities")
"""Members of a `revision` record's content that hold what an amendment replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be exported.

    Args:
        agent: agent id, whole.
        since: RFC 3339 UTC time with milliseconds of the first moment; empty for the beginning.
        until: the first moment after; empty for the end.
        disclose: also the leaves, never the contents, of all other records in the window.
        documents: revisions of the agent beside the head.
        held: checkpoints that were kept elsewhere; a proof from each goes along.
        timestamps: responses of time-stamping authorities about these, or about the newest.
    """

    agent: str
    since: str = ""
    until: str = ""
    disclose: bool = False
    documents: tuple[Document, ...] = ()
    held: tuple[str, ...] = ()
    timestamps: tuple[bytes, ...] = ()


@dataclass(slots=True)
class _Found:
    """What the passes over the log leave behind."""

    first: int = -1
    last: int = -1
    indexes: set[int] = field(default_factory=set[int])
    counts: Counter[str] = field(default_factory=Counter[str])
    bare: set[int] = field(default_factory=set[int])
    cited: set[str] = field(default_factory=set[str])
    revisions: set[str] = field(default_factory=set[str])
    amended: list[JsonObject] = field(default_factory=list["JsonObject"])


def export_evidence(source: EvidenceSource, wanted: Wanted, path: Path, *, stage: Stage) -> Manifest:
    """Write the bundle of `wanted` to `path`, whole or not at all.

    Raises:
        LedgerError: a record cannot be proved, a held checkpoint is of another history, a timestamp is about
            none of the checkpoints, or the file cannot be written.
        DocumentError: a given document is of another agent.
    """
    note = source.checkpoint()
    keys = source.verifier_keys()
    newest = verify_checkpoint(note, [parse_verifier_key(key) for key in keys], origin=source.origin)
    found = _select(source, wanted, newest.size, stage("records"))
    head = source.load(wanted.agent)
    documents = _documents(wanted, head)
    images = _images(found, documents, head, stage("policies"))
    # One that no record names would be the exporter's word alone.
    documents = tuple(one for one in documents if one.identity.revision in found.revisions)
    with BundleWriter(path) as bundle:
        _write_checkpoints(bundle, source, wanted, note)
        bundle.add(LOG_KEY, "".join(f"{key}\n" for key in keys).encode())
        for name, script in (("verify.py", "verify_bundle.py"), ("redecide.py", "redecide.py")):
            bundle.add(name, (files("remit.workbench.evidence") / script).read_bytes())
        for document in documents:
            bundle.add(document_name(document.identity.revision), serialize_document(document))
        for image in images.values():
            for name, text in image_files(image).items():
                bundle.add(f"{image_folder(image.digest)}/{name}", text.encode())
        writing = _Writing(
            bundle=bundle,
            source=source,
            wanted=wanted,
            note=note,
            size=newest.size,
            found=found,
            images=images,
        )
        bundle.stream(RECORDS, writing.lines(stage("proofs")))
        writing.write_decisions(stage("decisions"))
        manifest = Manifest(
            agent=wanted.agent,
            since=wanted.since,
            until=wanted.until,
            origin=newest.origin,
            size=newest.size,
            first=newest.size if found.first < 0 else found.first,
            last=found.last,
            disclosed=wanted.disclose,
            counts=found.counts,
            images={digest: digest in images for digest in found.cited},
            undecided=writing.undecided,
            files={},
        )
        bundle.add(README, readme(manifest, documents, writing.rows).encode())
        manifest = replace(manifest, files=bundle.digests())
        bundle.add(MANIFEST, pretty(manifest.to_json()))
        bundle.finish(progress=stage("archive"))
    return manifest


def _select(
    source: EvidenceSource, wanted: Wanted, size: int, progress: Callable[[int, int], None] | None
) -> _Found:
    """Find the agent's records and the window (rules 2 and 3), in one pass over the log."""
    found = _Found()
    for row in source.raw(stop=size):
        if progress is not None and row.index % 1024 == 0:
            progress(row.index, size)
        # A leaf is canonical: `at` stands where it always does, and nothing that quotes it can look like it.
        at = row.leaf.partition(b'"at":"')[2][:24].decode("ascii", "replace")
        inside = wanted.since <= at and (not wanted.until or at < wanted.until)
        if inside:
            found.first = row.index if found.first < 0 else found.first
            found.last = row.index
        if row.agent == wanted.agent:
            if inside:
                _keep(found, row)
            if row.kind == "revision" and row.content is not None:
                _keep_amended(found, row)
        elif not row.agent and row.kind == "control":
            erases = _erased(row) & found.bare
            if erases or (inside and not _erased(row)):
                found.indexes.add(row.index)
    if progress is not None:
        progress(size, size)
    return found


def _keep(found: _Found, row: RawRecord) -> None:
    found.indexes.add(row.index)
    found.counts[row.kind] += 1
    value = decode_leaf(row.leaf)
    if "content" in value and row.content is None:
        found.bare.add(row.index)
    body = cast("JsonObject", value["body"])
    found.revisions |= named_revisions(body)
    if row.kind == "decision" and isinstance(body.get("image"), str):
        found.cited.add(cast("str", body["image"]))


def _keep_amended(found: _Found, row: RawRecord) -> None:
    content = decode_record(row.leaf, salt=row.salt, content=row.content).content
    if isinstance(content, dict) and all(isinstance(content.get(name), dict) for name in AMENDED):
        found.amended.append(content)


def _erased(row: RawRecord) -> set[int]:
    body = cast("JsonObject", decode_leaf(row.leaf)["body"])
    indexes = body.get("indexes") if body.get("operation") == ERASE_CONTENT else None
    return {index for index in indexes if type(index) is int} if isinstance(indexes, list) else set()


def _documents(wanted: Wanted, head: Document | None) -> tuple[Document, ...]:
    """Return the documents of the bundle without what their memory says (rule 5), by revision."""
    found: dict[str, Document] = {}
    for document in (*wanted.documents, *([] if head is None else [head])):
        if document.identity.agent != wanted.agent:
            raise LedgerError(
                f"the document `{document.identity.revision}` is of agent `{document.identity.agent}`, "
                f"not of `{wanted.agent}`"
            )
        found[document.identity.revision] = _without_payloads(document)
    return tuple(found[revision] for revision in sorted(found))


def _without_payloads(document: Document) -> Document:
    value = document_value(document)
    memory = cast("JsonObject", value["memory"])
    entries = cast("list[JsonObject]", memory["entries"])
    bare: list[JsonValue] = [
        {name: member for name, member in entry.items() if name not in {"key", "salt", "payload"}}
        for entry in entries
    ]
    return parse_document(json.dumps({**value, "memory": {**memory, "entries": bare}}).encode())


def _images(
    found: _Found,
    documents: Sequence[Document],
    head: Document | None,
    progress: Callable[[int, int], None] | None,
) -> dict[str, PolicyImage]:
    """Return the images that decisions cite and that can be made, by digest (rule 4)."""
    images: dict[str, PolicyImage] = {}
    whole = len(documents) + len(found.amended)
    for number, document in enumerate(_candidates(found, documents, head), start=1):
        if not found.cited - images.keys():
            break
        try:
            image = compile_governance(document)
        except PolicyError:
            # What does not compile with this version cannot be what a record cites by digest.
            continue
        if image.digest in found.cited:
            images[image.digest] = image
        if progress is not None:
            progress(number, whole)
    return images


def _candidates(found: _Found, documents: Sequence[Document], head: Document | None) -> Iterator[Document]:
    yield from documents
    base = head or (documents[-1] if documents else None)
    if base is None:
        return
    for fields in found.amended:
        try:
            yield revise(
                base,
                operation="amend",
                actor='Remit::Caller::"evidence"',
                at="1980-01-01T00:00:00.000Z",
                decision="",
                governance=cast("JsonObject", fields["governance"]),
                capabilities=cast("JsonObject", fields["capabilities"]),
            )
        except DocumentError:
            continue


def _write_checkpoints(bundle: BundleWriter, source: EvidenceSource, wanted: Wanted, note: str) -> None:
    bundle.add(NEWEST, note.encode())
    notes = {NEWEST: note.encode()}
    for held in wanted.held:
        old = parse_checkpoint(held).checkpoint
        proof = prove_consistency(old, note, source.tree_nodes)
        notes[f"checkpoints/{old.size}.note"] = held.encode()
        bundle.add(f"checkpoints/{old.size}.note", held.encode())
        bundle.add(f"checkpoints/{old.size}.consistency", str(proof).encode())
    for name, response in placed(wanted.timestamps, notes):
        bundle.add(name, response)


@dataclass(slots=True, kw_only=True)
class _Writing:
    """Writes records and decisions; remembers what the README lists."""

    bundle: BundleWriter
    source: EvidenceSource
    wanted: Wanted
    note: str
    size: int
    found: _Found
    images: dict[str, PolicyImage]
    undecided: dict[int, str] = field(default_factory=dict[int, str])
    rows: list[DecisionRow] = field(default_factory=list["DecisionRow"])
    askers: dict[str, Asker] = field(default_factory=dict[str, "Asker"])

    def lines(self, progress: Callable[[int, int], None] | None) -> Iterator[bytes]:
        """Yield the lines of `records.jsonl`, each proved."""
        whole = len(self.found.indexes)
        for number, row in enumerate(self._chosen(), start=1):
            proof = prove_inclusion(row.index, leaf_hash(row.leaf), self.note, self.source.tree_nodes)
            own = row.index in self.found.indexes
            yield Line(
                index=row.index,
                leaf=row.leaf,
                proof=proof.hashes,
                salt=row.salt if own else None,
                content=row.content if own else None,
            ).to_bytes()
            if progress is not None:
                progress(min(number, whole), whole)

    def _chosen(self) -> Iterator[RawRecord]:
        if self.found.first < 0:
            return
        # With everything disclosed also the two neighbours, whose times show where the window ends.
        start = self.found.first - (1 if self.wanted.disclose and self.found.first else 0)
        for row in self.source.raw(start=start, stop=self.size):
            own = row.index in self.found.indexes
            if own or (self.wanted.disclose and row.index <= self.found.last + 1):
                yield row

    def write_decisions(self, progress: Callable[[int, int], None] | None) -> None:
        """Write the files of every decision that Cedar can be asked about."""
        done, whole = 0, self.found.counts["decision"]
        for row in self._chosen():
            if row.kind != "decision" or row.index not in self.found.indexes:
                continue
            done += 1
            record = decode_record(row.leaf, salt=row.salt, content=row.content)
            body = cast("JsonObject", record.value["body"])
            self.rows.append(DecisionRow.of(row.index, record.value))
            why = self._write_decision(row.index, body, record.content)
            if why:
                self.undecided[row.index] = why
            if progress is not None:
                progress(done, whole)

    def _write_decision(self, index: int, body: JsonObject, content: JsonValue) -> str:
        """Write one decision's files; return why there are none."""
        digest = str(body.get("image"))
        why = not_asked(body, content)
        if why:
            return why
        image = self.images.get(digest)
        if image is None:
            return NO_POLICIES
        if digest not in self.askers:
            self.askers[digest] = Asker(image)
        question = self.askers[digest].question(body, content)
        if isinstance(question, str):
            return question
        expected: JsonObject = {
            "image": digest,
            "verdict": body["verdict"],
            "kind": body["kind"],
            "reasons": body["reasons"],
            "errors": body["errors"],
            "fulfilled": [*question.fulfilled],
            "schema": question.checked,
        }
        folder = decision_folder(index)
        self.bundle.add(f"{folder}/request.json", pretty(question.request))
        self.bundle.add(f"{folder}/entities.json", pretty(question.entities))
        self.bundle.add(f"{folder}/expected.json", pretty(expected))
        return ""
