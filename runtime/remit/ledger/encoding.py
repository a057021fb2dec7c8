"""Records as bytes: what a leaf of the ledger's tree is made of.

Rules
1. A leaf is the RFC 8785 form of `{agent, at, body, content?, index, kind, run, spec}`, nothing else.
2. A leaf holds no float and no null, so that every canonicalizer gives the same bytes.
3. `content` = `sha256:<hex>` of SHA-256(salt ‖ JCS(content)); salt is 16 random bytes beside the leaf.
   Without the salt the digest of a guessable value says nothing (erasure destroys salt and content).
4. Decoding accepts exactly the bytes that encoding would give: shape, kinds and canonical form are checked.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Final, cast, get_args

from remit.document.values import (
    MAX_DEPTH,
    MAX_SAFE_INTEGER,
    Canonical,
    JsonObject,
    JsonValue,
    canonical_bytes,
    plain_bytes,
    plain_text,
)
from remit.errors import LedgerError
from remit.records import LEDGER_SPEC, Draft, Record, RecordKind
from remit.value import Value

KINDS: Final[tuple[str, ...]] = get_args(RecordKind)
SALT_BYTES: Final = 16
MAX_LEAF_BYTES: Final = 1 << 20
"""Records larger than one MiB are refused: large things belong into `content` or stay outside."""
MAX_CONTENT_BYTES: Final = 16 << 20

_REQUIRED: Final = frozenset({"agent", "at", "body", "index", "kind", "run", "spec"})
_AT: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z", re.ASCII)
_AFTER: Final[dict[str, bytes]] = {
    kind: f',"kind":"{kind}","run":%b,"spec":"{LEDGER_SPEC}"}}'.encode() for kind in KINDS
}
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class Sealed(Value, frozen=True, kw_only=True):
    """A draft made ready for the log: everything but its index is fixed.

    Args:
        draft: what was asked to be recorded.
        before: leaf bytes before the index.
        after: leaf bytes after the index.
        salt: 16 random bytes; empty where there is no content.
        content: RFC 8785 form of the content; empty where there is none.
    """

    draft: Draft
    before: bytes
    after: bytes
    salt: bytes = b""
    content: bytes = b""

    def leaf(self, index: int) -> bytes:
        """Return the leaf bytes of this record at `index` (from 0)."""
        return b"%b%d%b" % (self.before, index, self.after)


def seal_draft(draft: Draft, *, salt: bytes) -> Sealed:
    """Check a draft and fix its bytes.

    Args:
        draft: the record to be.
        salt: 16 fresh random bytes; used only where the draft has content.

    Raises:
        LedgerError: a float, a null, an unknown kind, a malformed time, or something too large or too deep.
    """
    if draft.kind not in _AFTER:
        raise LedgerError(f"`{draft.kind}` is not a kind of record: use one of {', '.join(KINDS)}")
    if not isinstance(cast("object", draft.at), str) or _AT.fullmatch(draft.at) is None:
        raise LedgerError(f"`{draft.at}` is not a time of the form `2026-01-01T00:00:00.000Z`")
    if not isinstance(cast("object", draft.body), dict):
        raise LedgerError("a record's body must be an object")
    content = b""
    commitment = b""
    if draft.content is not None:
        if len(salt) != SALT_BYTES:
            raise LedgerError(f"a record's salt must have {SALT_BYTES} bytes, not {len(salt)}")
        content = (
            draft.content.data
            if isinstance(draft.content, Canonical)
            else _canonical(draft.content, "content", exact=False)
        )
        if len(content) > MAX_CONTENT_BYTES:
            raise LedgerError(
                f"a record's content has {len(content)} bytes: at most {MAX_CONTENT_BYTES} are kept"
            )
        commitment = b',"content":"%b"' % content_commitment(salt, content).encode()
    body = _canonical(draft.body, "body", exact=True)
    before = b'{"agent":%b,"at":%b,"body":%b%b,"index":' % (
        _text(draft.agent, "agent"),
        b'"%b"' % draft.at.encode(),
        body,
        commitment,
    )
    after = _AFTER[draft.kind] % _text(draft.run, "run")
    if len(before) + len(after) > MAX_LEAF_BYTES:
        raise LedgerError(
            f"a record has {len(before) + len(after)} bytes: at most {MAX_LEAF_BYTES} are allowed in a leaf"
        )
    return Sealed(draft=draft, before=before, after=after, salt=salt if content else b"", content=content)


def encode_record(draft: Draft, index: int, *, salt: bytes) -> bytes:
    """Return the leaf bytes of `draft` at `index` (from 0).

    Raises:
        LedgerError: as `seal_draft`.
    """
    return seal_draft(draft, salt=salt).leaf(index)


def leaf_digest(leaf: bytes) -> str:
    """Digest by which a record is cited, `sha256:<hex>` over the leaf bytes."""
    return "sha256:" + hashlib.sha256(leaf).hexdigest()


def content_commitment(salt: bytes, content: bytes) -> str:
    """What a leaf says about its content, `sha256:<hex>` over salt ‖ JCS(content)."""
    return "sha256:" + hashlib.sha256(salt + content).hexdigest()


def decode_record(leaf: bytes, *, salt: bytes | None = None, content: bytes | None = None) -> Record:
    """Read a leaf strictly, and its content where that is still there.

    Args:
        leaf: the stored bytes.
        salt: the stored salt; None once erased or where there is none.
        content: the stored content bytes; None like `salt`.

    Raises:
        LedgerError: bytes that encoding would never give, or content that is not what the leaf commits to.
    """
    value = decode_leaf(leaf)
    index = cast("int", value["index"])
    erasable: JsonValue = None
    if content is not None:
        problem = content_problem(value, salt, content)
        if problem:
            raise LedgerError(f"record {index}: {problem}")
        erasable = _read_json(content, f"the content of record {index}")
    return Record(index=index, value=value, digest=leaf_digest(leaf), content=erasable)


def content_problem(value: JsonObject, salt: bytes | None, content: bytes | None) -> str:
    """Say what is wrong between a leaf and the salt and content beside it; empty when nothing is.

    Content that is not there at all is no problem here: whether it may be gone is for the verifier.
    """
    committed = value.get("content")
    if content is None and salt is None:
        return ""
    if committed is None:
        return "content lies beside a record that has none"
    if salt is None or content is None or content_commitment(salt, content) != committed:
        return "the salt or the content is not what the record commits to"
    return ""


def decode_leaf(leaf: bytes) -> JsonObject:  # noqa: C901  # one check a member, in the order of the format
    """Read leaf bytes as a record's JSON object.

    Raises:
        LedgerError: bytes that `encode_record` would never give.
    """
    if len(leaf) > MAX_LEAF_BYTES:
        raise LedgerError(f"a record of {len(leaf)} bytes: at most {MAX_LEAF_BYTES} are allowed")
    value = _read_json(leaf, "a record")
    if not isinstance(value, dict):
        raise LedgerError("a record must be a JSON object")
    members = frozenset(value)
    if members - {"content"} != _REQUIRED:
        odd = sorted((members - {"content"}) ^ _REQUIRED)
        raise LedgerError(f"a record lacks or adds members: {', '.join(f'`{name}`' for name in odd)}")
    index = value["index"]
    if type(index) is not int or not 0 <= index <= MAX_SAFE_INTEGER:
        raise LedgerError("a record's `index` must be a non-negative integer")
    if value["spec"] != LEDGER_SPEC:
        raise LedgerError(f"record {index} has another format than `{LEDGER_SPEC}`")
    if value["kind"] not in KINDS:
        raise LedgerError(f"record {index} is of an unknown kind")
    if not isinstance(value["agent"], str) or not isinstance(value["run"], str):
        raise LedgerError(f"record {index}: `agent` and `run` must be strings")
    at = value["at"]
    if not isinstance(at, str) or _AT.fullmatch(at) is None:
        raise LedgerError(f"record {index}: `at` is not a time")
    if not isinstance(value["body"], dict):
        raise LedgerError(f"record {index}: `body` must be an object")
    committed = value.get("content", "sha256:" + "0" * 64)
    if not isinstance(committed, str) or _DIGEST.fullmatch(committed) is None:
        raise LedgerError(f"record {index}: `content` is not a digest")
    if _canonical(value, f"record {index}", exact=True) != leaf:
        raise LedgerError(f"record {index} is not in canonical form")
    return value


def _read_json(data: bytes, what: str) -> JsonValue:
    # Duplicate members, odd spacing and number forms are caught by re-encoding, not by the reader.
    try:
        return cast("JsonValue", json.loads(data.decode("utf-8")))
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"{what} is not JSON: {type(error).__name__}") from error


def _canonical(value: JsonValue, what: str, *, exact: bool) -> bytes:
    """Return the RFC 8785 form of `value`.

    Args:
        value: any JSON value.
        what: its name for messages.
        exact: refuse floats and nulls.
    """
    try:
        data = plain_bytes(value, exact=exact)
        if data is not None:
            return data
        _check(value, what, exact=exact)
        return canonical_bytes(value)
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"`{what}` cannot be written canonically: {error}") from error


def _text(text: str, what: str) -> bytes:
    """Return the RFC 8785 form of a string."""
    if type(text) is not str:
        raise LedgerError(f"a record's `{what}` must be a string")
    try:
        return plain_text(text)
    except ValueError as error:
        raise LedgerError(f"`{what}` cannot be written canonically: {error}") from error


def _check(value: JsonValue, what: str, *, exact: bool) -> None:  # noqa: C901  # one branch a JSON type
    """Refuse what a record must not hold, by name."""
    pending: list[tuple[object, int]] = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        kind = type(item)
        if kind is str or kind is bool:
            continue
        if kind is int:
            if abs(cast("int", item)) > MAX_SAFE_INTEGER:
                raise LedgerError(f"`{what}` holds an integer beyond ±(2^53-1)")
        elif kind is dict:
            if depth > MAX_DEPTH:
                raise LedgerError(f"`{what}` is nested deeper than {MAX_DEPTH}")
            for key, member in cast("dict[object, object]", item).items():
                if type(key) is not str:
                    raise LedgerError(f"`{what}` has a member whose name is not a string")
                pending.append((member, depth + 1))
        elif kind is list:
            if depth > MAX_DEPTH:
                raise LedgerError(f"`{what}` is nested deeper than {MAX_DEPTH}")
            pending.extend((member, depth + 1) for member in cast("list[object]", item))
        elif exact:
            raise LedgerError(
                f"`{what}` holds a {kind.__name__}: a record holds no floats, nulls or other objects"
            )
        elif kind is not float and item is not None:
            raise LedgerError(f"`{what}` holds a {kind.__name__}, which is not JSON")
