"""Timestamps of RFC 3161, by the `rfc3161-client` package (1.0.9 or newer).

Rules
1. A request holds a digest of the data, a nonce, and asks for the signer's certificate (2.4.1: certReq).
2. A response counts if its status is `granted` (2.4.2), its imprint is the data's digest, exactly one signer
   signed it, and the signer's certificate leads to a given authority at the time that the response shows.
3. The signer's certificate has one extended key usage, critical: time stamping (2.3).
   OpenSSL, which the package brings, checks that with the chain.
4. INVARIANT (one signer's certificate): no two certificates in a response have the issuer and number that the
   signer names. They are not signed themselves, so with two of them the name of another authority could be
   told than the one whose key signed.
5. Nothing is fetched: no revocation list is asked, and a certificate may have expired since.
   The nonce is not compared, since the request need not be kept: an older response about the same bytes
   shows an earlier time, which is true as well.

Source: RFC 3161; RFC 5652, 5.3 (SignerInfo).
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC
from typing import TYPE_CHECKING, Final, cast

from cryptography import x509

from remit.errors import AdapterError
from remit.ports import NoTimestamp, Timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rfc3161_client import Accuracy, TimeStampResponse

    from remit.ports import Timestamping

MAX_RESPONSE_BYTES: Final = 1 << 20
_PEM: Final = b"-----BEGIN"
_MICROSECONDS: Final = 1_000_000
_MILLISECOND_US: Final = 1000
_DIGESTS: Final = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
"""Digests that a response may be about, by object identifier."""
_STATUS: Final = (
    "granted",
    "granted with modifications",
    "rejected",
    "waiting",
    "revocation warning",
    "revocation notification",
)
"""PKIStatus by its number (RFC 3161, 2.4.2)."""
_CHAIN: Final = re.compile(r"Verify error: ([^\"\]]+)")
_CAUSE: Final = re.compile(r'reason: "([^"]+)"')


def open_timestamping() -> Timestamping:
    """Return what makes requests and checks responses.

    Raises:
        ImportError: `rfc3161-client` is not installed.
    """
    import rfc3161_client

    del rfc3161_client  # asked for here, so that who lacks it hears it before anything else
    return Rfc3161Timestamping()


class Rfc3161Timestamping:
    """Makes requests and checks responses; needs `rfc3161-client`."""

    def request(self, data: bytes, *, algorithm: str) -> bytes:
        """Return a DER `TimeStampReq` over `data` (rule 1)."""
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

        known = {one.value.lower(): one for one in HashAlgorithm}
        if algorithm not in known:
            raise AdapterError(f"`{algorithm}` is no digest for a timestamp: there are `sha256` and `sha512`")
        builder = TimestampRequestBuilder(data=data, hash_algorithm=known[algorithm])
        return builder.nonce(nonce=True).cert_request(cert_request=True).build().as_bytes()

    def verify(
        self, response: bytes, data: bytes, *, authorities: Sequence[bytes]
    ) -> Timestamp | NoTimestamp:
        """Check a `TimeStampResp` (rules 2 to 5)."""
        from rfc3161_client import decode_timestamp_response

        trusted = [one for given in authorities for one in _certificates(given)]
        if len(response) > MAX_RESPONSE_BYTES:
            return NoTimestamp(message="a response larger than 1 MiB is refused", readable=False)
        try:
            parsed = decode_timestamp_response(response)
        except ValueError:
            said = "it is no response of a time-stamping authority (DER, `TimeStampResp`)"
            return NoTimestamp(message=said, readable=False)
        try:
            return _checked(parsed, data, trusted)
        except Exception as error:  # noqa: BLE001  # parsers of foreign bytes: whatever they raise, nothing is shown
            return NoTimestamp(message=f"its parts cannot be read: {error}")


def _certificates(given: bytes) -> list[x509.Certificate]:
    try:
        if _PEM in given:
            return x509.load_pem_x509_certificates(given)
        return [x509.load_der_x509_certificate(given)]
    except ValueError as error:
        raise AdapterError("the authority's certificate is none, PEM or DER") from error


def _checked(
    response: TimeStampResponse, data: bytes, trusted: list[x509.Certificate]
) -> Timestamp | NoTimestamp:
    from rfc3161_client import VerificationError, VerifierBuilder

    if response.status != 0:
        named = _STATUS[response.status] if response.status < len(_STATUS) else str(response.status)
        said = "; ".join(response.status_string)
        return NoTimestamp(message=f"the authority did not grant it: {named}" + (f": {said}" if said else ""))
    info = response.tst_info
    algorithm = _DIGESTS.get(info.message_imprint.hash_algorithm.dotted_string)
    if algorithm is None:
        oid = info.message_imprint.hash_algorithm.dotted_string
        return NoTimestamp(message=f"it is about a digest that is not accepted, `{oid}`")
    if info.message_imprint.message != hashlib.new(algorithm, data).digest():
        return NoTimestamp(message="it is about other bytes: the digest in it is another")
    signer = _signer(response)
    if isinstance(signer, NoTimestamp):
        return signer
    try:
        VerifierBuilder(roots=trusted).build().verify_message(response, data)
    except VerificationError as error:
        return NoTimestamp(message=_why(str(error)))
    # The package declares it to be there always; RFC 3161 does not.
    accuracy = cast("Accuracy | None", info.accuracy)
    return Timestamp(
        at=info.gen_time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        accuracy_us=None
        if accuracy is None
        else (accuracy.seconds or 0) * _MICROSECONDS
        + (accuracy.millis or 0) * _MILLISECOND_US
        + (accuracy.micros or 0),
        authority=signer.subject.rfc4514_string(),
        policy=info.policy.dotted_string,
        serial=info.serial_number,
    )


def _signer(response: TimeStampResponse) -> x509.Certificate | NoTimestamp:
    """Return the one certificate that signed (rules 2 and 4)."""
    signers = list(response.signed_data.signer_infos)
    if len(signers) != 1:
        return NoTimestamp(message=f"it has {len(signers)} signers instead of one")
    found = [
        certificate
        for certificate in map(x509.load_der_x509_certificate, response.signed_data.certificates)
        if certificate.issuer == signers[0].issuer and certificate.serial_number == signers[0].serial_number
    ]
    if len(found) != 1:
        return NoTimestamp(message=f"it holds {len(found)} certificates of its signer instead of one")
    return found[0]


def _why(message: str) -> str:
    """Put the package's reason into our form: of an OpenSSL error, the cause alone."""
    if chain := _CHAIN.search(message):
        return f"no given authority vouches for its signer: {chain.group(1)}"
    if cause := _CAUSE.search(message):
        return f"its signature does not verify: {cause.group(1)}"
    return message[:1].lower() + message[1:].rstrip(".")
