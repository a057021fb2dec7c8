"""Check a bundle offline, believing nothing that it says about itself.

Rules
1. Keys, held checkpoints and witnesses come from the verifier. Without a key the bundle's own is used, and
   the report says that the bundle only agrees with itself.
2. A held checkpoint counts if it is the bundle's own, or a proof in the bundle leads from it to that; one
   that cannot be related is a finding.
3. Every record: at its index below the newest checkpoint, in order, of this agent and time, its content what
   it commits to or erased on the record. Revisions of the agent form one chain.
4. Every effect follows a decision that allows exactly this request.
5. Every decision is asked again: of Cedar as the bundle's files have it, and of the reference engine. The
   files must be what the record and its content give.
6. A document has the identity that its content gives, and a record names it; an image has the digest that
   decisions cite. Manifest, README and provenance are made anew (`anew`).
7. A timestamp counts by an authority that the verifier brings; who brings one wants to see a timestamp.
8. Completeness is counted where the leaves of all records between are disclosed, and nowhere else; it
   reaches to the end of the time only where a record beyond that follows, and else to the checkpoint's end.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from importlib.resources import files as package_files
from typing import TYPE_CHECKING, Final

from remit.document.json_text import parse_json
from remit.document.parse import parse_document
from remit.engine.image import PolicyImage, image_digest
from remit.errors import DocumentError, GovernanceError, LedgerError
from remit.ledger.checkpoint import parse_checkpoint, parse_verifier_key, verify_checkpoint
from remit.ledger.cosignature import Quorum
from remit.ledger.proofs import parse_consistency
from remit.policy.provenance import schema_text
from remit.workbench.evidence.anew import check_provenance, check_words
from remit.workbench.evidence.archive import BundleReader
from remit.workbench.evidence.decided import decision_problem
from remit.workbench.evidence.model import (
    LOG_KEY,
    MANIFEST,
    NEWEST,
    NO_POLICIES,
    RECORDS,
    SPEC,
    Line,
    decision_folder,
    document_name,
    image_folder,
)
from remit.workbench.evidence.questions import Asker, not_asked
from remit.workbench.evidence.report import EvidenceReport, Problem
from remit.workbench.evidence.timestamps import check_timestamps
from remit.workbench.evidence.walk import RecordWalk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.ledger.checkpoint import Checkpoint, VerifierKey
    from remit.workbench.evidence.timestamps import Authorities

    Stage = Callable[[str], Callable[[int, int], None] | None]

_SCRIPTS: Final = {"verify.py": "verify_bundle.py", "redecide.py": "redecide.py"}
_KNOWN: Final = re.compile(
    r"README\.md|verify\.py|redecide\.py|manifest\.json|log\.pub|records\.jsonl"
    r"|checkpoints/(newest|[0-9]+)(\.note|\.[0-9]+\.tsr)|checkpoints/[0-9]+\.consistency"
    r"|images/[0-9a-f]+/(policies\.cedar|schema\.cedarschema|schema\.json|image\.json)"
    r"|decisions/[0-9]+/(request|entities|expected)\.json|documents/[0-9a-f]+\.agent\.json",
    re.ASCII,
)
"""Names of files that a bundle of this form can hold."""
_MAX_FINDINGS: Final = 1000
"""Findings beyond this number are counted and not kept."""


def check_evidence(
    path: Path,
    *,
    keys: Sequence[str] = (),
    held: Sequence[str] = (),
    witnesses: Sequence[str] = (),
    quorum: int | None = None,
    authorities: Authorities | None = None,
    stage: Stage = lambda _: None,
) -> EvidenceReport:
    """Check the bundle at `path`, an archive or the folder that it was unpacked into.

    Args:
        path: the bundle.
        keys: verifier key texts of the log.
        held: checkpoints that were kept elsewhere.
        witnesses: verifier key texts of witnesses.
        quorum: how many of them must have cosigned; all where it is left out.
        authorities: whom to believe about time; timestamps are not checked where they are left out.
        stage: begins a stage of progress.

    Raises:
        LedgerError: this is no bundle, or a key is none; what is wrong *in* a bundle is in the report.
        AdapterError: an authority's certificate is none.
    """
    brought = [parse_verifier_key(text) for text in keys]
    needed = Quorum.of(witnesses, quorum)
    with BundleReader(path) as reader:
        return _Checking(reader, stage).run(brought, held, needed, authorities)


@dataclass(slots=True)
class _Checking:
    reader: BundleReader
    stage: Stage
    findings: list[Problem] = field(default_factory=list[Problem])
    remarks: list[str] = field(default_factory=list[str])
    decided: int = 0
    undecided: Counter[str] = field(default_factory=Counter[str])
    unasked: dict[int, str] = field(default_factory=dict[int, str])
    askers: dict[str, Asker | None] = field(default_factory=dict[str, "Asker | None"])

    def find(self, place: str, problem: str) -> None:
        """Note what is wrong."""
        if len(self.findings) < _MAX_FINDINGS:
            self.findings.append(Problem(place=place, problem=problem))

    def run(
        self,
        brought: Sequence[VerifierKey],
        held: Sequence[str],
        quorum: Quorum | None,
        authorities: Authorities | None,
    ) -> EvidenceReport:
        """Apply all rules."""
        manifest = self._manifest()
        self._digests(manifest)
        keys = brought or [parse_verifier_key(line) for line in self._text(LOG_KEY).splitlines()]
        note = self._text(NEWEST)
        newest = trusted_or_why(note, keys)
        if isinstance(newest, str):
            self.find(NEWEST, newest)
            # Everything else can still be held against what it says, signed or not.
            newest = parse_checkpoint(note).checkpoint
        if not brought:
            self.remarks.append(
                "no key was given: the bundle only agrees with itself; bring one with `--key`"
            )
        related, witnessed = self._checkpoints(newest, note, keys, held, quorum)
        if not held:
            self.remarks.append(
                "no checkpoint from elsewhere was given: a log that was rewritten is not seen"
            )
        times, unchecked = check_timestamps(self.reader, authorities, self.find)
        if unchecked:
            self.remarks.append(
                f"{unchecked} timestamps were not checked: bring the authority with `--authority`"
            )
        walk = self._records(manifest, newest)
        documents = self._documents(walk)
        self._left_over(walk)
        for name in check_provenance(self.reader, documents, walk.images, self.find):
            self.remarks.append(f"`{name}` is no evidence: no document here gives it")
        check_words(
            self.reader,
            manifest,
            walk=walk,
            newest=newest,
            unasked=self.unasked,
            documents=documents,
            find=self.find,
        )
        complete = walk.complete()
        if complete is None:
            self.remarks.append(
                "completeness is not shown: other records between these, or beside them, are not disclosed"
            )
        for why, count in sorted(self.undecided.items()):
            self.remarks.append(f"{count} decisions not decided again: {why}")
        return EvidenceReport(
            agent=walk.agent,
            since=walk.since,
            until=walk.until,
            origin=newest.origin,
            size=newest.size,
            root=newest.root,
            key_brought=bool(brought),
            records=walk.lines,
            counts=dict(walk.counts),
            decided=self.decided,
            undecided=dict(self.undecided),
            complete=complete,
            held=tuple(sorted(related)),
            witnessed_size=witnessed,
            times=times,
            findings=tuple(self.findings),
            remarks=tuple(self.remarks),
        )

    def _manifest(self) -> JsonObject:
        value = self._json(MANIFEST)
        if not isinstance(value, dict) or value.get("spec") != SPEC:
            raise LedgerError(f"this is no evidence bundle of the form `{SPEC}`")
        return value

    def _digests(self, manifest: JsonObject) -> None:
        listed = manifest.get("files")
        named = listed if isinstance(listed, dict) else {}
        progress = self.stage("digests")
        for number, name in enumerate(self.reader.names, start=1):
            if name == MANIFEST:
                continue
            if name not in named:
                self.find(name, "was added: the manifest does not list it")
            elif self.reader.digest(name) != named[name]:
                self.find(name, "was changed: its digest is not the one in the manifest")
            if progress is not None:
                progress(number, len(self.reader.names))
        for name in sorted(named.keys() - set(self.reader.names)):
            self.find(name, "is missing")
        for name, script in _SCRIPTS.items():
            shipped = (package_files("remit.workbench.evidence") / script).read_bytes()
            if name in self.reader.names and self.reader.read(name) != shipped:
                self.remarks.append(
                    f"`{name}` is not the one of this version of remit: read it before you run it"
                )

    def _checkpoints(
        self,
        newest: Checkpoint,
        note: str,
        keys: Sequence[VerifierKey],
        held: Sequence[str],
        quorum: Quorum | None,
    ) -> tuple[list[int], int]:
        """Apply rule 2; return sizes of held checkpoints that lead here, and the witnessed size."""
        inside = [
            name for name in self.reader.names if name.startswith("checkpoints/") and name.endswith(".note")
        ]
        kept = [(name, self._text(name)) for name in inside if name != NEWEST]
        related: list[int] = []
        good = [(newest.size, note)]
        for place, text in [*kept, *((f"held checkpoint {n}", one) for n, one in enumerate(held, start=1))]:
            old = trusted_or_why(text, keys, origin=newest.origin)
            problem = old if isinstance(old, str) else self._relation(old, newest)
            if problem:
                self.find(place, problem)
            elif not isinstance(old, str):
                good.append((old.size, text))
                if place.startswith("held"):
                    related.append(old.size)
        if quorum is None:
            return related, 0
        witnessed, problems = -1, list[str]()
        for size, text in good:
            try:
                quorum.check(text)
                witnessed = max(witnessed, size)
            except LedgerError as error:
                problems.append(str(error))
        if witnessed < 0:
            self.find(
                "checkpoints", f"none is cosigned by enough witnesses: {'; '.join(dict.fromkeys(problems))}"
            )
        return related, max(witnessed, 0)

    def _relation(self, old: Checkpoint, newest: Checkpoint) -> str:
        """Say what is wrong between a checkpoint and the bundle's; empty when nothing is."""
        rewritten = (
            f"signs another history of {old.size} records than the bundle's checkpoint: it was rewritten"
        )
        if old.size == newest.size:
            return "" if old.root == newest.root else rewritten
        if old.size > newest.size:
            return (
                f"signs {old.size} records, the bundle's only {newest.size}: nothing here leads to it; "
                "export again"
            )
        if old.size == 0:
            return ""
        name = f"checkpoints/{old.size}.consistency"
        if name not in self.reader.names:
            return (
                f"no proof in the bundle leads from its {old.size} records: export again with "
                "`--checkpoint` and it"
            )
        try:
            proof = parse_consistency(self._text(name))
        except LedgerError as error:
            return str(error)
        return "" if proof.old_size == old.size and proof.proves(old.root, newest) else rewritten

    def _records(self, manifest: JsonObject, newest: Checkpoint) -> RecordWalk:
        walk = RecordWalk(manifest, newest, self.find)
        counts = manifest.get("records")
        whole = sum(n for n in counts.values() if type(n) is int) if isinstance(counts, dict) else 0
        progress = self.stage("records")
        for number, text in enumerate(self.reader.lines(RECORDS), start=1):
            try:
                line = Line.from_json(parse_json(text).value)
            except (LedgerError, DocumentError):
                self.find(RECORDS, f"line {number} is no record with its proof")
                continue
            decision = walk.add(line)
            if decision is not None:
                self._decision(line.index, *decision)
            if progress is not None:
                progress(min(number, whole), whole)
        walk.finish()
        return walk

    def _decision(self, index: int, body: JsonObject, content: JsonValue) -> None:
        """Apply rule 5 to one decision."""
        asker = self._asker(str(body.get("image")))
        folder = decision_folder(index)
        found = {
            name: self._json(f"{folder}/{name}.json")
            for name in ("request", "entities", "expected")
            if f"{folder}/{name}.json" in self.reader.names
        }
        if not found:
            self.unasked[index] = not_asked(body, content) or (NO_POLICIES if asker is None else "")
        verdict = decision_problem(asker, body, content, found)
        if verdict.problem:
            self.find(f"record {index}", verdict.problem)
        elif verdict.undecided:
            self.undecided[verdict.undecided] += 1
        else:
            self.decided += 1

    def _asker(self, digest: str) -> Asker | None:
        """Return what asks under an image of the bundle (rule 6); None where it is not there."""
        if digest in self.askers:
            return self.askers[digest]
        self.askers[digest] = None
        folder = image_folder(digest)
        if f"{folder}/policies.cedar" not in self.reader.names:
            return None
        try:
            policies = self._text(f"{folder}/policies.cedar")
            schema = self._json(f"{folder}/schema.json")
            if not isinstance(schema, dict) or image_digest(policies, schema) != digest:
                self.find(folder, "is not the image that decisions cite: its digest is another")
                return None
            if self._text(f"{folder}/schema.cedarschema") != schema_text(schema):
                self.find(folder, "its schema in Cedar's own syntax is not the one in JSON")
            image = PolicyImage(policies=policies, schema=schema, schema_text="", rules={}, digest=digest)
            self.askers[digest] = Asker(image)
        except (GovernanceError, ValueError) as error:
            self.find(folder, f"cannot be loaded: {error}")
        return self.askers[digest]

    def _documents(self, walk: RecordWalk) -> list[Document]:
        """Return the documents that hold (rule 6)."""
        held: list[Document] = []
        for name in self.reader.names:
            if not name.startswith("documents/"):
                continue
            try:
                document = parse_document(self.reader.read(name))
            except DocumentError as error:
                self.find(name, f"is no document: {error}")
                continue
            if name != document_name(document.identity.revision):
                self.find(name, f"is the revision `{document.identity.revision}`")
            elif document.identity.agent != walk.agent:
                self.find(name, f"is of another agent, `{document.identity.agent}`")
            elif document.identity.revision not in walk.revisions:
                self.find(name, "is a revision that no record here names")
            else:
                held.append(document)
        return held

    def _left_over(self, walk: RecordWalk) -> None:
        """Find folders that belong to no record: nothing may look like evidence that is none."""
        for name in self.reader.names:
            parts = name.split("/")
            if not _KNOWN.fullmatch(name):
                self.find(name, "is no file of a bundle")
                continue
            if parts[0] == "decisions" and parts[1] not in walk.decisions:
                self.find(name, "belongs to no decision in the bundle")
            if parts[0] == "images" and f"sha256:{parts[1]}" not in walk.images:
                self.find(name, "belongs to no image that a decision cites")

    def _text(self, name: str) -> str:
        try:
            return self.reader.read(name).decode()
        except UnicodeDecodeError as error:
            raise LedgerError(f"`{name}` in the bundle is not UTF-8 text") from error

    def _json(self, name: str) -> JsonValue:
        try:
            return parse_json(self.reader.read(name), file=name).value
        except DocumentError as error:
            raise LedgerError(f"`{name}` in the bundle is no JSON: {error}") from error


def trusted_or_why(note: str, keys: Sequence[VerifierKey], *, origin: str | None = None) -> Checkpoint | str:
    """Return a checkpoint that a known key signed, or why it is not to be trusted."""
    try:
        return verify_checkpoint(note, keys, origin=origin)
    except LedgerError as error:
        return f"is not to be trusted: {error}"
