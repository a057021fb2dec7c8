"""The published contract of the port `Timestamping`: every adapter passes every case with a real authority.

    @pytest.mark.parametrize("case", timestamp_contract.CASES, ids=lambda case: case.__name__)
    def test_it_keeps_the_contract(case): case(adapter, authority, other_authority)

Rules
1. A request holds the digest and not the data; two requests about the same data differ.
2. A response shows a time of exactly the bytes that were asked about, by an authority that the verifier
   brought, and in no other case.
3. A response that shows nothing is a value, and says whether it is a response at all; a certificate that
   cannot be read raises `AdapterError`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from remit.errors import AdapterError
from remit.ports import NoTimestamp, Timestamp

if TYPE_CHECKING:
    from remit.ports import Timestamping

_DATA: Final = b"remit.example/log\n7\nAAAA\n"
_CLOCKS: Final = timedelta(minutes=10)
"""By how much two clocks may differ."""


class Authority(Protocol):
    """An authority at hand."""

    @property
    def certificate(self) -> bytes:
        """The certificate to trust, a PEM or DER file."""
        ...

    def answer(self, request: bytes) -> bytes:
        """Return the response to a request."""
        ...

    def refuse(self) -> bytes:
        """Return the response to a request that it does not grant."""
        ...


def a_response_shows_the_time(adapter: Timestamping, authority: Authority, _: Authority) -> None:
    """Rule 2, with both digests."""
    for algorithm in ("sha256", "sha512"):
        response = authority.answer(adapter.request(_DATA, algorithm=algorithm))
        found = adapter.verify(response, _DATA, authorities=[authority.certificate])
        assert isinstance(found, Timestamp), found
        assert abs(datetime.fromisoformat(found.at) - datetime.now(tz=UTC)) < _CLOCKS
        assert found.at.endswith("Z")
        assert found.authority


def one_of_several_authorities_is_enough(
    adapter: Timestamping, authority: Authority, other: Authority
) -> None:
    """Rule 2: the verifier may trust others, too."""
    response = authority.answer(adapter.request(_DATA, algorithm="sha256"))
    found = adapter.verify(response, _DATA, authorities=[other.certificate, authority.certificate])
    assert isinstance(found, Timestamp), found


def a_request_tells_the_digest_alone(adapter: Timestamping, _: Authority, __: Authority) -> None:
    """Rule 1."""
    one, two = (adapter.request(_DATA, algorithm="sha256") for _ in range(2))
    assert _DATA not in one
    assert one != two


def a_response_about_other_bytes_shows_nothing(
    adapter: Timestamping, authority: Authority, _: Authority
) -> None:
    """Rule 2."""
    response = authority.answer(adapter.request(_DATA, algorithm="sha256"))
    found = adapter.verify(response, _DATA + b"\n", authorities=[authority.certificate])
    assert found == NoTimestamp(message="it is about other bytes: the digest in it is another")


def a_response_of_an_unknown_authority_shows_nothing(
    adapter: Timestamping, authority: Authority, other: Authority
) -> None:
    """Rule 2."""
    response = authority.answer(adapter.request(_DATA, algorithm="sha256"))
    found = adapter.verify(response, _DATA, authorities=[other.certificate])
    assert isinstance(found, NoTimestamp)
    assert found.message.startswith("no given authority vouches for its signer")


def a_response_whose_time_was_changed_shows_nothing(
    adapter: Timestamping, authority: Authority, _: Authority
) -> None:
    """Rule 2: everything that is told is signed."""
    response = authority.answer(adapter.request(_DATA, algorithm="sha256"))
    found = adapter.verify(response, _DATA, authorities=[authority.certificate])
    assert isinstance(found, Timestamp)
    at = "".join(char for char in found.at[:19] if char.isdigit()).encode()
    earlier = str(int(at) - 10**10).encode()
    assert response.count(at) >= 1
    changed = adapter.verify(response.replace(at, earlier, 1), _DATA, authorities=[authority.certificate])
    assert isinstance(changed, NoTimestamp)


def a_refusal_shows_nothing(adapter: Timestamping, authority: Authority, _: Authority) -> None:
    """Rule 3."""
    found = adapter.verify(authority.refuse(), _DATA, authorities=[authority.certificate])
    assert isinstance(found, NoTimestamp)
    assert found.readable
    assert found.message.startswith("the authority did not grant it")


def what_cannot_be_read_is_told_apart(adapter: Timestamping, authority: Authority, _: Authority) -> None:
    """Rule 3."""
    response = authority.answer(adapter.request(_DATA, algorithm="sha256"))
    for text in (b"", response[:-1], response + b"\0", b"\0" * (1 << 21)):
        found = adapter.verify(text, _DATA, authorities=[authority.certificate])
        assert isinstance(found, NoTimestamp)
        assert not found.readable
    for certificate in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        try:
            adapter.verify(response, _DATA, authorities=[certificate])
        except AdapterError:
            continue
        raise AssertionError(f"{certificate!r} was read")


CASES: Final = (
    a_response_shows_the_time,
    one_of_several_authorities_is_enough,
    a_request_tells_the_digest_alone,
    a_response_about_other_bytes_shows_nothing,
    a_response_of_an_unknown_authority_shows_nothing,
    a_response_whose_time_was_changed_shows_nothing,
    a_refusal_shows_nothing,
    what_cannot_be_read_is_told_apart,
)
