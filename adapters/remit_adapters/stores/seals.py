"""Seals: what a store keeps about one data subject, encrypted under a key that lies elsewhere.

Rules
1. Of a memory entry that names a subject, `key`, `salt` and `payload` are sealed; its leaf members stay in
   clear. Of a record whose content is about one subject, salt and content are.
2. A seal is AES-256-GCM with a fresh 96-bit nonce. What it is about is associated data, so that it opens in
   its own place alone: agent, entry id and commitment; or the leaf.
3. What is sealed names its key. The name is random: neither a row nor the log tells whom it is about.
4. A key that was destroyed: what it sealed reads as erased. A key that nobody knows, or a seal that does not
   open: refused, never taken for an erasure.
5. What was written without a seal is read as it is.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from remit.document.entries import entry_value
from remit.errors import LedgerError
from remit.ledger.encoding import SALT_BYTES
from remit.ports import KeyOwner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from remit.document.memory import Entry
    from remit.document.values import JsonObject
    from remit.ledger.encoding import Sealed
    from remit.ledger.report import RawRecord
    from remit.ports import KeyUse, SubjectKey, SubjectKeys

NAME_DIGITS: Final = 32
SECRET_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_AT_ONCE: Final = 512
"""Rows whose keys are asked for at once."""

KEYS_NAME: Final = "subject_keys"
"""Name of the row of a store's `meta` that says which set of keys seals in it."""

ROW_MARK: Final = '{"sealed":{"key":"'
"""What the row of a sealed entry begins with; its key's name follows."""
CONTENT_MARK: Final = b"\x00remit/1/sealed\x00"
"""What a sealed content begins with, and no JSON does; its key's name follows."""

_SEALED_MEMBERS: Final = ("key", "salt", "payload")


def require_keys(expected: str, keys: SubjectKeys) -> None:
    """Refuse other keys than those that seal in a store.

    Args:
        expected: the set's name, as the store says; empty where nothing was sealed yet.
        keys: what is to be used.

    Raises:
        LedgerError: they are others, or cannot be reached.
    """
    if expected and keys.id != expected:
        raise LedgerError(
            f"the subjects' keys are the set `{keys.id}`, but what is sealed here needs the set "
            f"`{expected}`: restore that one"
        )


def owner_tag(pepper: bytes, owner: KeyOwner) -> bytes:
    """Return what stands for an owner where keys lie: a hash that nobody without `pepper` can try."""
    return hmac.digest(pepper, json.dumps([*owner]).encode(), "sha256")


def new_key() -> tuple[str, bytes]:
    """Return the name and the secret of a new key."""
    return secrets.token_hex(NAME_DIGITS // 2), secrets.token_bytes(SECRET_BYTES)


# --- memory entries


def entry_owner(agent: str, entry: Entry) -> KeyOwner | None:
    """Return whose key seals an entry; None where it names no subject, or is erased."""
    subject = "" if entry.payload is None else entry.payload.subject
    return KeyOwner(agent, subject, "memory") if subject else None


def entry_rows(
    agent: str, entries: Sequence[Entry], obtain: Callable[[list[KeyOwner]], Mapping[KeyOwner, SubjectKey]]
) -> list[str]:
    """Return the rows of entries, sealed where they name a subject.

    Args:
        agent: agent id.
        entries: what is to be written.
        obtain: gives keys, new ones where there are none; not asked where no entry names a subject.

    Raises:
        LedgerError: the keys cannot be reached.
    """
    owners = [entry_owner(agent, entry) for entry in entries]
    wanted = list(dict.fromkeys(owner for owner in owners if owner is not None))
    keys: Mapping[KeyOwner, SubjectKey] = obtain(wanted) if wanted else {}
    return [
        _text(entry_value(entry)) if owner is None else _sealed_row(agent, entry_value(entry), keys[owner])
        for entry, owner in zip(entries, owners, strict=True)
    ]


def rows_to_seal(
    agent: str,
    rows: Iterable[tuple[str, str]],
    obtain: Callable[[list[KeyOwner]], Mapping[KeyOwner, SubjectKey]],
) -> list[tuple[str, str]]:
    """Return those of an agent's rows that name a subject and are not sealed, sealed.

    Args:
        agent: agent id.
        rows: entry id and row, as they are stored; what is no entry is left as it is.
        obtain: gives keys; not asked where no row names a subject.

    Raises:
        LedgerError: the keys cannot be reached.
    """
    open_rows: list[tuple[str, JsonObject, KeyOwner]] = []
    for entry, row in rows:
        value = _naming(row)
        if value is not None:
            subject = str(cast("JsonObject", value["payload"])["subject"])
            open_rows.append((entry, value, KeyOwner(agent, subject, "memory")))
    wanted = list(dict.fromkeys(owner for _, _, owner in open_rows))
    keys: Mapping[KeyOwner, SubjectKey] = obtain(wanted) if wanted else {}
    return [(entry, _sealed_row(agent, value, keys[owner])) for entry, value, owner in open_rows]


def _naming(row: str) -> JsonObject | None:
    """Return a row that names a subject and can be sealed; None for any other."""
    try:
        value = json.loads(row)
        subject = value["payload"]["subject"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    needed = (*_SEALED_MEMBERS, "id", "commitment")
    whole = isinstance(subject, str) and subject and all(name in value for name in needed)
    return cast("JsonObject", value) if whole and "sealed" not in value else None


def _sealed_row(agent: str, value: JsonObject, key: SubjectKey) -> str:
    inside = {name: value.pop(name) for name in _SEALED_MEMBERS}
    data = _seal(key.secret, _text(inside).encode(), _entry_place(agent, value))
    return _text({"sealed": {"key": key.name, "data": base64.b64encode(data).decode()}, **value})


def opened_rows(agent: str, rows: Sequence[str], keys: Callable[[], SubjectKeys]) -> list[str]:
    """Return rows of entries as they would be without seals; those under a destroyed key as erased ones.

    Args:
        agent: agent id.
        rows: as they are stored.
        keys: gives the keys; not asked where no row is sealed.

    Raises:
        LedgerError: a seal does not open, or nobody knows its key; the message names the entry.
    """
    names = {row_key(row) for row in rows if row.startswith(ROW_MARK)}
    if not names:
        return [*rows]
    known = keys().held(names)
    return [_opened_row(agent, row, known) if row.startswith(ROW_MARK) else row for row in rows]


def row_key(row: str) -> str:
    """Return the name of the key that sealed a row; empty where it is not sealed."""
    return row[len(ROW_MARK) : len(ROW_MARK) + NAME_DIGITS] if row.startswith(ROW_MARK) else ""


def _opened_row(agent: str, row: str, known: Mapping[str, bytes | None]) -> str:
    name = row_key(row)
    try:
        value = json.loads(row)
        sealed = value.pop("sealed")
        said, data = str(sealed["key"]), base64.b64decode(sealed["data"], validate=True)
        entry = str(value["id"])
        place = _entry_place(agent, value)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, binascii.Error) as error:
        raise LedgerError(
            f"the stored agent `{agent}` was changed behind the store: a sealed row of field `memory` cannot "
            f"be read ({type(error).__name__})"
        ) from error
    if said != name or name not in known:
        raise LedgerError(
            f"the entry `{entry}` of the agent `{agent}` is sealed under the key `{said}`, which its keys do "
            "not know: restore the keys that belong to this store"
        )
    secret = known[name]
    if secret is None:
        return _text(value)
    try:
        inside = json.loads(_open(secret, data, place))
    except (InvalidTag, ValueError) as error:
        raise LedgerError(
            f"the stored agent `{agent}` was changed behind the store: the seal of the entry `{entry}` does "
            "not open, it was changed or belongs to another place (field `memory`)"
        ) from error
    return _text({**value, **inside})


def _entry_place(agent: str, value: JsonObject) -> bytes:
    return b"remit/1/sealed-entry\0" + _text([agent, value["id"], value["commitment"]]).encode()


# --- contents of records


def content_owner(record: Sealed) -> KeyOwner | None:
    """Return whose key seals a record's content; None where there is none, or it is about nobody known."""
    draft = record.draft
    return KeyOwner(draft.agent, draft.subject, "ledger") if draft.subject and record.content else None


def sealed_content(record: Sealed, leaf: bytes, key: SubjectKey) -> bytes:
    """Return what is stored in the place of a record's content; its salt is inside."""
    return (
        CONTENT_MARK + key.name.encode() + _seal(key.secret, record.salt + record.content, _leaf_place(leaf))
    )


def content_key(content: bytes | None) -> str:
    """Return the name of the key that sealed a content; empty where it is not sealed."""
    if type(content) is not bytes or not content.startswith(CONTENT_MARK):
        return ""
    return content[len(CONTENT_MARK) : len(CONTENT_MARK) + NAME_DIGITS].decode("ascii", "replace")


def known_keys(
    contents: Iterable[bytes | None], keys: Callable[[], SubjectKeys]
) -> Mapping[str, bytes | None] | None:
    """Return what is known of the keys of contents; None, and nobody is asked, where no content is sealed."""
    names = {name for name in map(content_key, contents) if name}
    return keys().held(names) if names else None


def opened_content(
    index: int,
    leaf: bytes,
    salt: bytes | None,
    content: bytes | None,
    known: Mapping[str, bytes | None],
) -> tuple[bytes | None, bytes | None]:
    """Return salt and content of a record as they would be without a seal; two None under a destroyed key.

    Raises:
        LedgerError: the seal does not open, or nobody knows its key; the message names the record.
    """
    name = content_key(content)
    if not name or content is None:
        return salt, content
    if name not in known:
        raise LedgerError(
            f"record {index}: its content is sealed under the key `{name}`, which the keys of this store do "
            "not know: restore the keys that belong to it"
        )
    secret = known[name]
    if secret is None:
        return None, None
    try:
        inside = _open(secret, content[len(CONTENT_MARK) + NAME_DIGITS :], _leaf_place(leaf))
    except (InvalidTag, ValueError) as error:
        raise LedgerError(
            f"record {index}: the seal of its content does not open: it was changed, or belongs to another "
            "record"
        ) from error
    return inside[:SALT_BYTES], inside[SALT_BYTES:]


def opened_raw(rows: Iterable[RawRecord], keys: Callable[[], SubjectKeys]) -> Iterator[RawRecord]:
    """Iterate over stored rows as they would be without seals; what cannot be opened stays as it lies there.

    So a verification finds it: it is not what its record commits to.

    Raises (while iterating):
        LedgerError: the keys cannot be reached.
    """
    remaining = iter(rows)
    while some := tuple(islice(remaining, _AT_ONCE)):
        known = known_keys((row.content for row in some), keys)
        for row in some:
            yield row if known is None else _opened_raw(row, known)


def _opened_raw(row: RawRecord, known: Mapping[str, bytes | None]) -> RawRecord:
    try:
        salt, content = opened_content(row.index, row.leaf, row.salt, row.content, known)
    except LedgerError:
        return row
    gone = row.content is not None and content is None
    return replace(row, salt=salt, content=content, key_gone=gone)


def _leaf_place(leaf: bytes) -> bytes:
    return b"remit/1/sealed-content\0" + leaf


# --- AES-256-GCM


def _seal(secret: bytes, inside: bytes, place: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(secret).encrypt(nonce, inside, place)


def _open(secret: bytes, data: bytes, place: bytes) -> bytes:
    return AESGCM(secret).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], place)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def uses(agent: str, subject: str) -> tuple[KeyOwner, ...]:
    """Return every owner that a data subject of an agent can be."""
    both: tuple[KeyUse, ...] = ("memory", "ledger")
    return tuple(KeyOwner(agent, subject, use) for use in both)
