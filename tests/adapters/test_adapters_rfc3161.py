"""RFC 3161 timestamps, by a real authority: `openssl ts` on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from openssl_authority import OpensslAuthority, open_authority
from remit.host.timestamps import open_timestamping
from remit.ports import NoTimestamp, Timestamp, Timestamping
from remit.testing import timestamp_contract

if TYPE_CHECKING:
    from collections.abc import Callable

NOTE = b"remit.example/log\n7\nAAAA\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> OpensslAuthority:
    return open_authority(tmp_path_factory.mktemp("one") / "first")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> OpensslAuthority:
    return open_authority(tmp_path_factory.mktemp("two") / "second")


@pytest.mark.parametrize("case", timestamp_contract.CASES, ids=lambda case: case.__name__)
def test_it_keeps_the_contract(
    case: Callable[..., None], authority: OpensslAuthority, other: OpensslAuthority
) -> None:
    adapter = open_timestamping()
    assert isinstance(adapter, Timestamping)
    case(adapter, authority, other)


def test_what_the_authority_says_about_itself_is_told(authority: OpensslAuthority) -> None:
    adapter = open_timestamping()
    found = adapter.verify(
        authority.answer(adapter.request(NOTE, algorithm="sha512")), NOTE, authorities=[authority.certificate]
    )
    assert isinstance(found, Timestamp)
    assert (found.authority, found.policy, found.accuracy_us) == ("CN=Test signer", "1.2.3.4.1", 1_500_000)


def certificate(
    authority: OpensslAuthority,
    usages: list[x509.ObjectIdentifier],
    *,
    critical: bool = True,
    forged: bool = False,
) -> bytes:
    """Make a certificate with the signer's name, number and key; `forged` is signed by another root's key."""
    real = x509.load_pem_x509_certificate((authority.folder / "signer.pem").read_bytes())
    key = serialization.load_pem_private_key((authority.folder / "root.key").read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    builder = x509.CertificateBuilder(
        issuer_name=real.issuer,
        subject_name=real.subject,
        public_key=real.public_key(),
        serial_number=real.serial_number,
        not_valid_before=real.not_valid_before_utc,
        not_valid_after=real.not_valid_after_utc,
    )
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=critical)
    made = builder.sign(ec.generate_private_key(ec.SECP256R1()) if forged else key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


def parts(data: bytes) -> list[tuple[int, bytes]]:
    """Read DER values that follow one another: tag and content of each."""
    found: list[tuple[int, bytes]] = []
    while data:
        size, head = data[1], 2
        if size & 0x80:
            head += size & 0x7F
            size = int.from_bytes(data[2:head], "big")
        found.append((data[0], data[head : head + size]))
        data = data[head + size :]
    return found


def joined(values: list[tuple[int, bytes]]) -> bytes:
    """Write DER values one after the other."""
    text = b""
    for tag, content in values:
        size = len(content).to_bytes(4, "big").lstrip(b"\0")
        length = bytes([len(content)]) if len(content) < 0x80 else bytes([0x80 | len(size)]) + size
        text += bytes([tag]) + length + content
    return text


def with_certificates(response: bytes, *certificates: bytes) -> bytes:
    """Put other certificates into a response; they are a set and not signed (RFC 5652, 5.4)."""
    [(_, body)] = parts(response)
    status, (_, token) = parts(body)
    kind, (_, explicit) = parts(token)
    [(_, signed)] = parts(explicit)
    members = [
        (0xA0, b"".join(sorted(certificates))) if tag == 0xA0 else (tag, text) for tag, text in parts(signed)
    ]
    content = joined([kind, (0xA0, joined([(0x30, joined(members))]))])
    return joined([(0x30, joined([status, (0x30, content)]))])


STAMP, SERVER = ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.SERVER_AUTH


def verified(authority: OpensslAuthority, *certificates: bytes) -> Timestamp | NoTimestamp:
    adapter = open_timestamping()
    response = authority.answer(adapter.request(NOTE, algorithm="sha256"))
    return adapter.verify(
        with_certificates(response, *certificates), NOTE, authorities=[authority.certificate]
    )


@pytest.mark.parametrize(
    ("usages", "critical"), [([STAMP, SERVER], True), ([SERVER], True), ([STAMP], False)]
)
def test_a_certificate_that_is_not_for_time_stamping_alone_shows_nothing(
    authority: OpensslAuthority, usages: list[x509.ObjectIdentifier], critical: bool
) -> None:
    assert isinstance(verified(authority, certificate(authority, [STAMP])), Timestamp)
    assert isinstance(verified(authority, certificate(authority, usages, critical=critical)), NoTimestamp)


def test_a_forged_certificate_beside_the_signers_lends_it_neither_usage_nor_name(
    authority: OpensslAuthority,
) -> None:
    server, forged = certificate(authority, [SERVER]), certificate(authority, [STAMP], forged=True)
    assert verified(authority, server, forged) == NoTimestamp(
        message="it holds 2 certificates of its signer instead of one"
    )


def test_what_was_granted_with_modifications_shows_nothing(authority: OpensslAuthority) -> None:
    adapter = open_timestamping()
    response = authority.answer(adapter.request(NOTE, algorithm="sha256"))
    granted, modified = b"\x30\x03\x02\x01\x00", b"\x30\x03\x02\x01\x01"
    assert response[4:9] == granted
    found = adapter.verify(response.replace(granted, modified, 1), NOTE, authorities=[authority.certificate])
    assert found == NoTimestamp(message="the authority did not grant it: granted with modifications")
