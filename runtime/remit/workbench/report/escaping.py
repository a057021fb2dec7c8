"""Text from anywhere as text in HTML: no markup, and no character that cannot be seen."""

from __future__ import annotations

import re
from html import escape

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control, bidirectional and surrogate characters; tab and line feed are none of them."""


def shown(text: str) -> str:
    """Return text escaped for HTML, with what cannot be seen written out."""
    return escape(CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
