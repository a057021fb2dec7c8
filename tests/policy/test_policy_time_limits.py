"""Time limits of approvals from a document to Cedar and back."""

from __future__ import annotations

from typing import Any

import pytest
from policy_documents import cedar, document, refund_tool, rule

from remit.document.instants import MAX_LIMIT_MS, limit_ms
from remit.document.parse import document_from_value, document_value
from remit.document.revision import genesis
from remit.document.rules import Approve, Redact
from remit.errors import DocumentError, PolicyError
from remit.policy.compile import compile_governance
from remit.policy.kept import image_from_bytes, image_to_bytes
from remit.policy.serial import image_from_json, image_to_json


def image_of(within_ms: int, *, roles: tuple[str, ...] = ("officer",)) -> Any:
    duties = (*(Approve(by=role, within_ms=within_ms) for role in roles), Redact(arguments=("iban",)))
    return compile_governance(document(tools=(refund_tool(rule("cap", "forbid", obligations=duties)),)))


def plain(*annotations: str) -> Any:
    text = (
        f'@id("eyes") {" ".join(annotations)}\nforbid(principal, action == Remit::Action::"amend", resource);'
    )
    return compile_governance(document(rules=(cedar(text),)))


def authored(*duties: dict[str, Any]) -> Any:
    """Return a document with one rule of these obligations, as its author wrote it."""
    value = document_value(
        genesis(
            {
                "memory": {"blocks": []},
                "governance": {
                    "attributes": {"jurisdiction": "EU", "risk_tier": "limited", "owner": "team"},
                    "activation": [{"id": "start"}],
                    "mutation": [],
                    "termination": [],
                    "rules": [
                        {"id": "eyes", "effect": "forbid", "on": ["amend"], "obligations": list(duties)}
                    ],
                },
                "capabilities": {"instructions": "x", "tools": [], "backends": [], "dispatch": []},
                "execution_state": {"lifecycle": "ready", "usage": {}, "pending": []},
            },
            nonce="0" * 32,
        )
    )
    return document_from_value(value)


@pytest.mark.parametrize("within", ["", "2h", "1d12h", "90m", "366d", "1ms"])
def test_a_limit_goes_from_the_document_to_cedar_and_back(within: str) -> None:
    limit = {"within": within} if within else {}
    written = authored({"approve": {"by": "officer", **limit}}, {"approve": {"by": "counsel", **limit}})
    wanted = tuple(
        Approve(by=role, within_ms=limit_ms(within) if within else 0) for role in ("officer", "counsel")
    )
    assert written.governance.rules[0].obligations == wanted
    info = compile_governance(written).rules["eyes"]
    assert info.obligations == wanted
    # The text that Cedar is given alone makes the same obligations in another document.
    again = compile_governance(document(rules=(cedar(_without_release(info.text)),)))
    assert again.rules["eyes"].obligations == wanted


def _without_release(text: str) -> str:
    return text[: text.index("unless { context.fulfilled")].rstrip() + ";"


@pytest.mark.parametrize("within_ms", [0, 1, 5_400_000, MAX_LIMIT_MS])
def test_an_image_with_a_limit_is_stored_and_kept_as_it_is(within_ms: int) -> None:
    image = image_of(within_ms, roles=("officer", "counsel"))
    for found in (image_from_json(image_to_json(image)), image_from_bytes(image_to_bytes(image))):
        assert found is not None
        assert found.digest == image.digest
        assert found.rules["cap"].obligations == image.rules["cap"].obligations


def test_another_limit_is_another_image() -> None:
    digests = [image_of(limit).digest for limit in (0, 1, 2)]
    assert len(set(digests)) == len(digests)
    # Without one, the text is what it was before there were limits.
    assert "within" not in image_of(0).policies


def test_what_was_kept_before_there_were_limits_is_read() -> None:
    image = image_of(0)
    assert b'[["officer"],[["iban"],[]]]' in image_to_bytes(image)


@pytest.mark.parametrize(
    ("within", "said"),
    [
        ("soon", "`soon`, not a duration such as `2h` or `1d12h`"),
        ("0h", "`0h`, not between `1ms` and `366d`"),
        ("-2h", "`-2h`, not a duration"),
        ("367d", "`367d`, not between"),
    ],
)
def test_a_limit_that_is_none_is_a_fault_at_its_place(within: str, said: str) -> None:
    with pytest.raises(DocumentError) as caught:
        authored({"approve": {"by": "officer", "within": within}})
    (fault,) = caught.value.faults
    assert fault.pointer == "/governance/rules/0/obligations/0/approve/within"
    assert said in str(fault)
    assert "leave it out to wait without a limit" in str(fault)


def test_approvals_of_one_rule_have_one_limit() -> None:
    with pytest.raises(DocumentError) as caught:
        authored({"approve": {"by": "officer", "within": "2h"}}, {"approve": {"by": "counsel"}})
    (fault,) = caught.value.faults
    assert fault.pointer == "/governance/rules/0/obligations"
    assert "write a rule for each role" in str(fault)


def test_plain_cedar_limits_approvals_by_an_annotation() -> None:
    info = plain('@approve("officer, counsel")', '@approve_within("2h")').rules["eyes"]
    assert info.obligations == (
        Approve(by="officer", within_ms=7_200_000),
        Approve(by="counsel", within_ms=7_200_000),
    )


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        (('@approve_within("2h")',), "`@approve_within` limits nothing: there is no `@approve`"),
        (('@approve("officer")', '@approve_within("soon")'), "`@approve_within` is `soon`, not a duration"),
        (('@approve("officer")', "@approve_within"), "`@approve_within` is ``, not a duration"),
        (('@approve("officer")', '@approve_within("0h")'), "`@approve_within` is `0h`, not between"),
    ],
    ids=str,
)
def test_an_annotation_that_limits_nothing_is_a_fault(annotations: tuple[str, ...], said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        plain(*annotations)
    assert [said in str(fault) for fault in caught.value.faults] == [True]


def test_an_image_from_elsewhere_with_a_limit_that_is_none_is_refused() -> None:
    value: Any = image_to_json(image_of(7_200_000))
    for entry in value["rules"]:
        entry["text"] = entry["text"].replace('@approve_within("2h")', '@approve_within("2")')
    with pytest.raises(PolicyError):
        image_from_json(value)
