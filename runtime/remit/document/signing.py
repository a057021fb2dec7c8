"""Signatures: DSSE envelopes over a revision's manifest, Ed25519 only.

Rules
1. The payload is the manifest's bytes, the type `application/vnd.remit.revision+json`; what is signed is
   DSSE's PAE.
2. The verifier recomputes the manifest and requires byte equality with the payload.
3. Keys come from the verifier's `TrustPolicy`, never from the document; the algorithm is fixed by the key.
4. A signature by an unknown key, outside its key's validity or that does not verify refuses the whole; so
   does having fewer trusted signatures than the policy's threshold.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, cast

from remit.document.faults import SHAPES, TIME
from remit.document.identity import manifest_bytes
from remit.document.json_text import printable
from remit.document.parse import PAYLOAD_TYPE
from remit.errors import DocumentError, Fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue

SEED_BYTES = 32
_POINTER = "/identity/signatures"


class ManifestSigner(Protocol):
    """What signs; the shape of `remit.ports.Signer`."""

    @property
    def name(self) -> str:
        """Key name."""
        ...

    @property
    def public_key(self) -> bytes:
        """32 raw bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """64 bytes of Ed25519 signature."""
        ...


class Ed25519Signer:
    """Signs with a private key held in memory.

    Args:
        name: key name, as verifiers' trust policies call it.
        seed: the private key's 32 bytes.

    Raises:
        ValueError: the name is empty or the seed has not 32 bytes.
    """

    __slots__ = ("_name", "_private", "_public_key")

    def __init__(self, name: str, seed: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        if not name:
            raise ValueError("a signer has a name")
        if len(seed) != SEED_BYTES:
            raise ValueError(f"an Ed25519 seed has {SEED_BYTES} bytes, not {len(seed)}")
        self._name = name
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._public_key = self._private.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"Ed25519Signer(name={self._name!r}, public_key={self._public_key.hex()})"

    @property
    def name(self) -> str:
        """Key name."""
        return self._name

    @property
    def public_key(self) -> bytes:
        """32 raw bytes."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """Return 64 bytes of Ed25519 signature (RFC 8032)."""
        return self._private.sign(message)

    def private_pem(self) -> bytes:
        """Return the private key as unencrypted PKCS #8 in PEM; whoever stores it guards it."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def signer_from_pem(name: str, pem: bytes) -> Ed25519Signer:
    """Read a private key from unencrypted PKCS #8 in PEM.

    Raises:
        DocumentError: the bytes are no such key, or one of another algorithm.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise DocumentError(
            Fault(message=f"`{printable(name)}` is no unencrypted private key in PEM form")
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise DocumentError(Fault(message=f"the private key `{printable(name)}` is not an Ed25519 key"))
    return Ed25519Signer(name, key.private_bytes_raw())


def public_key_pem(public_key: bytes) -> bytes:
    """Return a raw public key as SubjectPublicKeyInfo in PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return Ed25519PublicKey.from_public_bytes(public_key).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )


def public_key_from_pem(pem: bytes) -> bytes:
    """Read a raw Ed25519 public key from SubjectPublicKeyInfo in PEM.

    Raises:
        DocumentError: the bytes are no such key, or one of another algorithm.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise DocumentError(Fault(message="the text is no public key in PEM form")) from None
    if not isinstance(key, Ed25519PublicKey):
        raise DocumentError(Fault(message="the public key is not an Ed25519 key"))
    return key.public_bytes_raw()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustPolicy:
    """Whose signatures a verifier believes.

    Args:
        keys: raw Ed25519 public keys by key name.
        not_before: RFC 3339 UTC time with milliseconds before which a key is not valid, by key name.
        not_after: the same, after which a key is not valid.
        threshold: how many different trusted keys must have signed.
        ignore_foreign: pass over signatures of unknown keys instead of refusing the document.
    """

    keys: Mapping[str, bytes]
    not_before: Mapping[str, str] = field(default_factory=dict[str, str])
    not_after: Mapping[str, str] = field(default_factory=dict[str, str])
    threshold: int = 1
    ignore_foreign: bool = False

    def __post_init__(self) -> None:
        if self.threshold < 1:
            raise ValueError("a trust policy needs at least one signature")
        for name, time in (*self.not_before.items(), *self.not_after.items()):
            if TIME.fullmatch(time) is None:
                raise ValueError(f"the validity of key {name} is not {SHAPES[TIME]}")


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return what DSSE signs (DSSE protocol 1.0, PAE)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def signed_envelope(payload: bytes, payload_type: str, signer: ManifestSigner) -> JsonObject:
    """Return a DSSE envelope of a payload with one signature."""
    signature = signer.sign(pre_authentication_encoding(payload_type, payload))
    return {
        "payloadType": payload_type,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": signer.name, "sig": base64.b64encode(signature).decode()}],
    }


def sign_document(document: Document, signer: ManifestSigner) -> Document:
    """Return the document with one more signature over its manifest.

    The manifest is recomputed from the content; an earlier signature under the same key name is replaced.

    Raises:
        DocumentError: the document's revision is not that of its content.
    """
    envelope = signed_envelope(manifest_bytes(document), PAYLOAD_TYPE, signer)
    kept = tuple(held for held in document.identity.signatures if _key_ids(held) != (signer.name,))
    return replace(document, identity=replace(document.identity, signatures=(*kept, envelope)))


def _signatures(envelope: JsonObject) -> list[dict[str, JsonValue]]:
    signatures = envelope.get("signatures")
    return [item for item in signatures if isinstance(item, dict)] if isinstance(signatures, list) else []


def _key_ids(envelope: JsonObject) -> tuple[str, ...]:
    return tuple(str(signature.get("keyid", "")) for signature in _signatures(envelope))


def verify_document_signatures(document: Document, trust: TrustPolicy, *, now: str) -> tuple[str, ...]:
    """Check every signature of a document against a trust policy.

    Args:
        document: a parsed document.
        trust: the verifier's own keys.
        now: RFC 3339 UTC time with milliseconds, for the keys' validity.

    Returns:
        Names of the trusted keys that signed, sorted.

    Raises:
        DocumentError: a signature is tampered with, expired, foreign or about other content, or trusted ones
        are missing.
    """
    held = tuple((f"{_POINTER}/{index}", item) for index, item in enumerate(document.identity.signatures))
    return verify_envelopes(held, _OF_DOCUMENT, manifest_bytes(document), trust, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What signatures are about, and how faults speak of it.

    Args:
        payload_type: media type of the payload.
        subject: such as `the document`.
        content: such as `this revision's`.
        where: such as ` in `identity``; may be empty.
        pointer: JSON pointer of the signatures.
        file: name of the input; may be empty.
    """

    payload_type: str
    subject: str
    content: str
    where: str = ""
    pointer: str = ""
    file: str = ""


_OF_DOCUMENT = Signed(
    payload_type=PAYLOAD_TYPE,
    subject="the document",
    content="this revision's",
    where=" in `identity`",
    pointer=_POINTER,
)


def verify_envelopes(
    held: Sequence[tuple[str, JsonObject]], about: Signed, payload: bytes, trust: TrustPolicy, *, now: str
) -> tuple[str, ...]:
    """Check every envelope over one payload against a trust policy; see `verify_document_signatures`.

    Args:
        held: `(JSON pointer, envelope)`.
        about: what they are about.
        payload: the payload as the verifier computed it.
        trust: the verifier's own keys.
        now: RFC 3339 UTC time with milliseconds, for the keys' validity.

    Raises:
        DocumentError: as `verify_document_signatures`.
    """
    if TIME.fullmatch(now) is None:
        raise DocumentError(Fault(message=f"the time `{printable(now)}` is not {SHAPES[TIME]}"))
    faults: list[Fault] = []
    trusted: set[str] = set()
    for pointer, envelope in held:
        if envelope.get("payloadType") != about.payload_type or _decoded(envelope.get("payload")) != payload:
            message = f"a signature{about.where} is about other content than {about.content}"
            faults.append(Fault(message=message, file=about.file, pointer=pointer))
            continue
        for signature in _signatures(envelope):
            name = str(signature.get("keyid", ""))
            message = _judge(name, _decoded(signature.get("sig")), payload, trust, about=about, now=now)
            if message:
                faults.append(Fault(message=message, file=about.file, pointer=pointer))
            elif name in trust.keys:
                trusted.add(name)
    # One key under two names is one signer, whatever the threshold.
    signers = len({trust.keys[name] for name in trusted})
    if not faults and signers < trust.threshold:
        faults.append(
            Fault(
                message=f"{about.subject} has {signers} trusted signature(s){about.where}, "
                f"{trust.threshold} needed",
                file=about.file,
                pointer=about.pointer,
                hint=f"have it signed by {_listed(trust)}",
            )
        )
    if faults:
        raise DocumentError(*faults)
    return tuple(sorted(trusted))


def _listed(trust: TrustPolicy) -> str:
    return " or ".join(f"`{printable(name)}`" for name in sorted(trust.keys)) or "a key that you trust"


def _judge(
    name: str, raw: bytes | None, payload: bytes, trust: TrustPolicy, *, about: Signed, now: str
) -> str:
    """Return what is wrong with one signature, or an empty text."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    shown = printable(name)
    if name not in trust.keys:
        if trust.ignore_foreign:
            return ""
        return f"the signature by `{shown}`{about.where} is foreign: no key of that name is trusted"
    try:
        key = Ed25519PublicKey.from_public_bytes(trust.keys[name])
        key.verify(raw or b"", pre_authentication_encoding(about.payload_type, payload))
    except InvalidSignature:
        return (
            f"the signature by `{shown}`{about.where} does not verify: "
            "it was tampered with or made by another key"
        )
    except ValueError:
        return f"the trusted key `{shown}` is no Ed25519 public key"
    if name in trust.not_before and now < trust.not_before[name]:
        return f"the key `{shown}` that signed is not valid before {trust.not_before[name]}"
    if name in trust.not_after and now > trust.not_after[name]:
        return f"the key `{shown}` that signed has expired on {trust.not_after[name]}"
    return ""


def _decoded(text: JsonValue) -> bytes | None:
    try:
        return base64.b64decode(cast("str", text), validate=True)
    except (binascii.Error, ValueError, TypeError):
        return None
