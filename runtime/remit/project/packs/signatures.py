"""Signatures of packs: DSSE, Ed25519, one file a key in `signatures/`; keys come from the verifier's side.

What is signed is the pack's manifest: its digest, and that of its page and fixtures.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remit.document.carriers import read_value, write_value
from remit.document.signing import ManifestSigner, Signed, TrustPolicy, signed_envelope, verify_envelopes
from remit.errors import DocumentError, Fault
from remit.policy.packs.pack import manifest_bytes
from remit.project.packs.folder import SIGNATURES
from remit.project.source import files_in, kind_of, read_bytes

if TYPE_CHECKING:
    from remit.document.values import JsonObject
    from remit.project.packs.folder import PackFolder

PAYLOAD_TYPE = "application/vnd.remit.pack+json"
SUFFIX = ".dsse.json"
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,79}")


def sign_pack(found: PackFolder, signer: ManifestSigner) -> tuple[str, bytes]:
    """Sign a pack as it is now.

    Returns:
        The signature file's path within the pack's folder, and its bytes.

    Raises:
        DocumentError: the key's name is no file name, or a file of the pack cannot be read.
    """
    if _FILE_NAME.fullmatch(signer.name) is None:
        raise DocumentError(
            Fault(
                message=f"the key name `{signer.name}` is no file name",
                hint="name the key with `--name`: letters, digits, `_`, `-`, `.`, `@`",
            )
        )
    payload = manifest_bytes(found.pack, evidence=found.evidence())
    envelope = signed_envelope(payload, PAYLOAD_TYPE, signer)
    return f"{SIGNATURES}/{signer.name}{SUFFIX}", write_value(envelope, format="json")


def verify_pack(found: PackFolder, trust: TrustPolicy, *, now: str) -> tuple[str, ...]:
    """Check every signature of a pack against the verifier's own keys.

    Returns:
        Names of the trusted keys that signed, sorted.

    Raises:
        DocumentError: a signature is damaged, foreign, expired or about other content, or too few are there.
    """
    payload = manifest_bytes(found.pack, evidence=found.evidence())
    about = Signed(
        payload_type=PAYLOAD_TYPE,
        subject=f"the pack `{found.pack.name}`",
        content="this pack, its cases and its page",
        file=found.label,
    )
    return verify_envelopes(held_signatures(found), about, payload, trust, now=now)


def held_signatures(found: PackFolder) -> tuple[tuple[str, JsonObject], ...]:
    """Return the pack's envelopes; the pointer of each is its file's path.

    Raises:
        DocumentError: a file is no JSON object.
    """
    held: list[tuple[str, JsonObject]] = []
    for relative in files_in(found.folder, SIGNATURES, ".json"):
        file = f"{found.label}/{relative}"
        parsed = read_value(read_bytes(found.folder, relative, file=file), format="json", file=file)
        if not isinstance(parsed.value, dict):
            raise DocumentError(
                Fault(
                    message=f"a signature is {kind_of(parsed.value)}, not an object",
                    file=file,
                    line=1,
                    column=1,
                )
            )
        held.append((f"/{relative}", parsed.value))
    return tuple(held)
