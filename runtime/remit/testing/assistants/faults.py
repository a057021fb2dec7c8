"""How a request ends other than well."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remit.document.values import JsonObject

_SERVER_FAILED = 500
_TOO_MANY = 429


class CutConnectionError(Exception):
    """The connection ends here and nobody is told why; a test's `on_step` may raise it."""


class WireFault(Exception):  # noqa: N818  # an answer of the wire, not a mistake of this program
    """A request that is refused, as the API words refusals.

    Args:
        status: HTTP status.
        message: for people.
        code: for programs; empty where there is none.
        param: the member or query parameter concerned; empty for the whole request.
        location: for a redirecting status: where to.
    """

    def __init__(
        self, status: int, message: str, *, code: str = "", param: str = "", location: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.location = location

    def to_json(self) -> JsonObject:
        """Return the error envelope."""
        return {
            "error": {
                "message": self.message,
                "type": self._type(),
                "param": self.param or None,
                "code": self.code or None,
            }
        }

    def _type(self) -> str:
        if self.status >= _SERVER_FAILED:
            return "server_error"
        return "requests" if self.status == _TOO_MANY else "invalid_request_error"


def missing(kind: str, identifier: str) -> WireFault:
    """Return the refusal for an object that does not exist (any more)."""
    return WireFault(404, f"No {kind} found with id '{identifier}'.")
