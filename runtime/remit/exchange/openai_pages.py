"""List pages of the OpenAI API, which stand in an export where a plain list could."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remit.exchange.members import ForeignObject


def read_page(page: ForeignObject) -> None:
    """Make the members of a list page known; more of the list may lie elsewhere."""
    for name in ("object", "first_id", "last_id"):
        page.any(name)
    if page.boolean("has_more"):
        page.findings.lost(page.at("has_more"), "the list goes on in another page, which is not here")


def elements(owner: ForeignObject, name: str) -> list[ForeignObject]:
    """Return the objects of a member that is a list or a list page."""
    if isinstance(owner.value.get(name), dict):
        page = owner.object(name)
        if page is None:
            return []
        read_page(page)
        found = page.objects("data")
        page.close()
        return found
    return owner.objects(name)
