"""Edits to chat templates that small models need before they call tools.

The list holds no template: each entry names the template it applies to by SHA-256, the replacements, and the
SHA-256 of what must come out. A template that is not in the list is used as the model carries it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import cast

from remit.errors import AdapterError


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateEdit:
    """One replacement; `find` occurs exactly once."""

    why: str
    find: str
    put: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateEdits:
    """The replacements for one template.

    Args:
        model: whose template it is.
        input_sha256: digest of the template, 64 hex digits.
        output_sha256: digest of the result, 64 hex digits.
        edits: applied in order.
    """

    model: str
    input_sha256: str
    output_sha256: str
    edits: tuple[TemplateEdit, ...]


def template_sha256(template: str) -> str:
    """Digest of a template's UTF-8 bytes, 64 hex digits."""
    return hashlib.sha256(template.encode("utf-8")).hexdigest()


@cache
def known_edits() -> tuple[TemplateEdits, ...]:
    """Return the list that is shipped."""
    text = files("remit_adapters").joinpath("chat_templates.json").read_text(encoding="utf-8")
    listed = cast("list[dict[str, object]]", json.loads(text)["templates"])
    return tuple(
        TemplateEdits(
            model=str(value["model"]),
            input_sha256=str(value["input_sha256"]),
            output_sha256=str(value["output_sha256"]),
            edits=tuple(
                TemplateEdit(why=edit["why"], find=edit["find"], put=edit["put"])
                for edit in cast("list[dict[str, str]]", value["edits"])
            ),
        )
        for value in listed
    )


def edited_template(template: str) -> str:
    """Apply the edits known for `template`; return an empty text where none are.

    Raises:
        AdapterError: the edits no longer fit or give another result than the one they were measured with.
    """
    digest = template_sha256(template)
    known = next((each for each in known_edits() if each.input_sha256 == digest), None)
    if known is None:
        return ""
    for edit in known.edits:
        if template.count(edit.find) != 1:
            raise AdapterError(f"the edit of the chat template of `{known.model}` does not fit: {edit.why}")
        template = template.replace(edit.find, edit.put)
    if template_sha256(template) != known.output_sha256:
        raise AdapterError(f"the edited chat template of `{known.model}` is not the one that was measured")
    return template
