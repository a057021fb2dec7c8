"""What a bundle says for people and about itself, made anew from what was checked and held against it.

Rules
1. `manifest.json` and `README.md` are what the records, the checkpoint and the files here give; their text is
   part of the form of a bundle. Why Cedar had no word for a decision is taken as it was said.
2. `image.json` is what a document here compiles to; where none does, it is no evidence, and a remark says so.
3. A document is one that a record of the agent here names by its revision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.errors import PolicyError
from remit.policy.compile import compile_governance
from remit.policy.image_files import image_files
from remit.workbench.evidence.model import MANIFEST, README, Manifest, image_folder
from remit.workbench.evidence.readme import readme

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from remit.document.model import Document
    from remit.document.values import JsonObject
    from remit.ledger.checkpoint import Checkpoint
    from remit.workbench.evidence.archive import BundleReader
    from remit.workbench.evidence.walk import RecordWalk

    Find = Callable[[str, str], None]


def check_words(
    reader: BundleReader,
    said: JsonObject,
    *,
    walk: RecordWalk,
    newest: Checkpoint,
    unasked: Mapping[int, str],
    documents: Sequence[Document],
    find: Find,
) -> None:
    """Hold manifest and README against what they are made of (rule 1).

    Args:
        reader: of the bundle.
        said: the manifest.
        walk: has taken all records.
        newest: the checkpoint of the bundle.
        unasked: why a decision has no files of its own, by index; empty where only its exporter knows.
        documents: those of the bundle that hold.
        find: notes what is wrong, with its place.
    """
    files, reasons = said.get("files"), said.get("undecided")
    known = reasons if isinstance(reasons, dict) else {}
    manifest = Manifest(
        agent=walk.agent,
        since=walk.since,
        until=walk.until,
        origin=newest.origin,
        size=newest.size,
        first=walk.first,
        last=walk.last,
        disclosed=walk.disclosed,
        counts=walk.counts,
        images={digest: f"{image_folder(digest)}/policies.cedar" in reader.names for digest in walk.images},
        undecided={index: why or str(known.get(str(index), "")) for index, why in unasked.items()},
        files={name: str(digest) for name, digest in files.items()} if isinstance(files, dict) else {},
    )
    if manifest.to_json() != said:
        find(MANIFEST, "says something else than what is in the bundle")
    ordered = sorted(documents, key=lambda document: document.identity.revision)
    if README in reader.names and reader.read(README) != readme(manifest, ordered, walk.rows).encode():
        find(README, "is not what the records here give: it was changed, or another version wrote it")


def check_provenance(
    reader: BundleReader, documents: Sequence[Document], images: set[str], find: Find
) -> list[str]:
    """Hold each `image.json` against what a document here compiles to (rule 2).

    Args:
        reader: of the bundle.
        documents: those of the bundle that hold.
        images: digests that decisions cite.
        find: notes what is wrong, with its place.

    Returns:
        names of those that no document here gives.
    """
    left = {f"{image_folder(digest)}/image.json" for digest in images} & {*reader.names}
    for document in documents:
        if not left:
            break
        try:
            image = compile_governance(document)
        except PolicyError:
            # What does not compile with this version gives no image that a record cites.
            continue
        name = f"{image_folder(image.digest)}/image.json"
        if name in left:
            left.remove(name)
            if reader.read(name) != image_files(image)["image.json"].encode():
                find(name, "is not where the rules of its document come from")
    return sorted(left)
