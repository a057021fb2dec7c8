"""Multipart forms, as far as an upload needs them.

Sources: RFC 7578; RFC 2046 section 5.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from email import message_from_string
from email.message import Message
from typing import TYPE_CHECKING

from remit.testing.assistants.faults import WireFault

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """An upload.

    Args:
        fields: the fields that are text, by name.
        filename: the file's name.
        content: its bytes.
    """

    fields: Mapping[str, str]
    filename: str
    content: bytes


def read_form(body: bytes, content_type: str) -> Form:
    """Read a form with a file in the field `file`.

    Args:
        body: the request's body.
        content_type: its header.

    Raises:
        WireFault: 400, it is no such form.
    """
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/form-data" or not isinstance(boundary, str) or not boundary:
        raise WireFault(400, "Invalid body: a multipart form was expected.")
    fields: dict[str, str] = {}
    filename, content = "", None
    for part in _parts(body, boundary.encode()):
        head, found, data = part.partition(b"\r\n\r\n")
        headers = message_from_string(head.decode("utf-8", "replace") + "\r\n\r\n")
        name = headers.get_param("name", header="content-disposition")
        if not found or not isinstance(name, str):
            raise WireFault(400, "Invalid body: a part of the form has no name.")
        if name == "file":
            filename, content = headers.get_filename() or "upload", data
        else:
            fields[name] = data.decode("utf-8", "replace")
    if content is None:
        raise WireFault(400, "Missing required parameter: 'file'.", param="file")
    return Form(fields=fields, filename=filename, content=content)


def _parts(body: bytes, boundary: bytes) -> list[bytes]:
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):  # noqa: PLR2004  # what precedes, and the end
        raise WireFault(400, "Invalid body: the form is not closed.")
    return [piece.removeprefix(b"\r\n") for piece in pieces[1:-1]]
