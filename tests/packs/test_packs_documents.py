"""Pins in documents: old ones stay valid, ids with a point are a pack's, and what was changed is found."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

import pytest
from jsonschema import Draft202012Validator
from packs_world import USE, built, image_of

from remit.document.model import PackPin
from remit.document.parse import document_from_value, document_value
from remit.document.revision import genesis, revise
from remit.document.schema import json_schema
from remit.errors import DocumentError
from remit.policy.compile import compile_governance
from remit.project.packs.comparison import pack_reports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from remit.document.model import Document
    from remit.project.build import Built

NONCE = "00112233445566778899aabbccddeeff"
DIGEST = "sha256:" + "0" * 64


def _fields(held: Built) -> dict[str, Any]:
    value = cast("dict[str, Any]", copy.deepcopy(document_value(held.document)))
    return {name: value[name] for name in ("governance", "capabilities", "memory", "execution_state")}


def _with(held: Built, change: Callable[[dict[str, Any]], None]) -> Document:
    fields = _fields(held)
    change(fields)
    return genesis(fields, nonce=NONCE)


def test_a_pin_without_parameters_stays_valid_and_keeps_its_digest(tmp_path: Path) -> None:
    def old(fields: dict[str, Any]) -> None:
        fields["governance"]["packs"] = [{"name": "Old_Pack", "version": "x", "digest": DIGEST}]
        fields["governance"]["rules"] = fields["governance"]["rules"][:1]

    held = _with(built(tmp_path), old)
    assert held.governance.packs == (
        PackPin(name="Old_Pack", version="x", digest=DIGEST, alias="Old_Pack", parameters=None),
    )
    assert document_from_value(document_value(held)).identity == held.identity


@pytest.mark.parametrize(
    ("pin", "wanted"),
    [
        ({"name": "a", "version": "1"}, "`digest` is missing"),
        ({"name": "a", "version": "1", "digest": "sha256:x"}, "not a digest"),
        ({"name": "a", "version": "1", "digest": DIGEST, "parameters": []}, "`parameters` must be an object"),
        ({"name": "a", "version": "1", "digest": DIGEST, "parameters": {"a": None}}, "null may not stand"),
        ({"name": "a", "version": "1", "digest": DIGEST, "as": "A"}, "`as` is `A`, not a pack's name"),
        ({"name": "a", "version": "1", "digest": DIGEST, "source": "x"}, "unknown member `source`"),
    ],
)
def test_a_bad_pin_is_refused_by_parser_and_schema_alike(
    pin: dict[str, Any], wanted: str, tmp_path: Path
) -> None:
    held = built(tmp_path)
    fields = _fields(held)
    fields["governance"]["packs"].append(pin)
    with pytest.raises(DocumentError, match=wanted):
        genesis(fields, nonce=NONCE)
    value = cast("dict[str, Any]", copy.deepcopy(document_value(held.document)))
    value["governance"]["packs"].append(pin)
    assert not Draft202012Validator(cast("Any", json_schema())).is_valid(value)


def test_a_document_with_packs_satisfies_the_published_schema(tmp_path: Path) -> None:
    use = USE + "  - path: ../caps\n    as: small\n    with: {tools: [pay], cap: 9}\n"
    value = cast("Any", document_value(built(tmp_path, use=use).document))
    assert [
        error.message for error in Draft202012Validator(cast("Any", json_schema())).iter_errors(value)
    ] == []


def test_two_pins_under_one_name_are_refused(tmp_path: Path) -> None:
    def twice(fields: dict[str, Any]) -> None:
        fields["governance"]["packs"] *= 2

    with pytest.raises(DocumentError, match="occurs twice"):
        _with(built(tmp_path), twice)


def test_a_rule_is_not_called_after_a_pack_that_is_not_pinned(tmp_path: Path) -> None:
    def foreign(fields: dict[str, Any]) -> None:
        rule = {"id": "budgets.cost", "effect": "forbid", "on": ["continue"]}
        fields["governance"]["rules"].append(rule)

    with pytest.raises(DocumentError, match=r"no pack `budgets` is pinned in `governance\.packs`"):
        _with(built(tmp_path), foreign)


def test_an_amendment_that_drops_a_pin_must_drop_its_rules(tmp_path: Path) -> None:
    held = built(tmp_path).document
    governance = {name: value for name, value in held.governance.value.items() if name != "packs"}
    with pytest.raises(DocumentError, match="no pack `caps` is pinned"):
        revise(
            held,
            operation="amend",
            actor='Remit::Caller::"a"',
            at="2026-01-01T00:00:00.000Z",
            decision="",
            governance=governance,
        )


def _rule(fields: dict[str, Any], rule_id: str) -> dict[str, Any]:
    return next(rule for rule in fields["governance"]["rules"] if rule.get("id") == rule_id)


def _differences(held: Built, document: Document) -> list[tuple[str, str]]:
    folders = [used.use.found.folder for used in held.packs]
    reports = pack_reports(document, compile_governance(document), folders=folders)
    return [(item.kind, item.rule) for report in reports for item in report.differences]


def test_an_untouched_document_differs_in_nothing(tmp_path: Path) -> None:
    held = built(tmp_path)
    (report,) = pack_reports(
        held.document, image_of(held), folders=[used.use.found.folder for used in held.packs]
    )
    assert (report.rules, report.differences) == (("caps.cap",), ())


def test_an_edited_rule_is_found_with_the_member_that_differs(tmp_path: Path) -> None:
    held = built(tmp_path)

    def edit(fields: dict[str, Any]) -> None:
        _rule(fields, "caps.cap")["when"] = "context.input.amount > 50000"

    document = _with(held, edit)
    folders = [used.use.found.folder for used in held.packs]
    (report,) = pack_reports(document, compile_governance(document), folders=folders)
    assert [item.message for item in report.differences] == [
        "the rule `caps.cap` is not as the pack has it: `when` differ"
    ]
    assert report.differences[0].pointer == "/governance/rules/1"


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], None], tuple[str, str]]] = {
    "a weaker reason": (lambda f: _rule(f, "caps.cap").update(because="well"), ("edited", "caps.cap")),
    "an obligation": (
        lambda f: _rule(f, "caps.cap").update(obligations=[{"approve": {"by": "x"}}]),
        ("edited", "caps.cap"),
    ),
    "a further condition": (lambda f: _rule(f, "caps.cap").update(unless="true"), ("edited", "caps.cap")),
    "an effect": (lambda f: _rule(f, "caps.cap").update(effect="permit"), ("edited", "caps.cap")),
    "a missing rule": (
        lambda f: f["governance"]["rules"].remove(_rule(f, "caps.cap")),
        ("missing", "caps.cap"),
    ),
    "an added rule": (
        lambda f: f["governance"]["rules"].append({"id": "caps.more", "effect": "permit", "on": ["pay"]}),
        ("added", "caps.more"),
    ),
    "an added rule in plain Cedar": (
        lambda f: f["governance"]["rules"].append(
            {"cedar": '@id("caps.more") permit(principal, action, resource);'}
        ),
        ("added", "caps.more"),
    ),
    "a rule at a tool": (
        lambda f: f["capabilities"]["tools"][0].update(rules=[{"id": "caps.own", "effect": "permit"}]),
        ("added", "caps.own"),
    ),
    "another value": (
        lambda f: f["governance"]["packs"][0]["parameters"].update(cap=3),
        ("edited", "caps.cap"),
    ),
    "an optional value": (
        lambda f: f["governance"]["packs"][0]["parameters"].update(vip="gold"),
        ("missing", "caps.vip-cap"),
    ),
    "a value that does not fit": (
        lambda f: f["governance"]["packs"][0]["parameters"].update(cap="x"),
        ("parameters", ""),
    ),
    "another version": (lambda f: f["governance"]["packs"][0].update(version="1.0.1"), ("parameters", "")),
    "another digest": (lambda f: f["governance"]["packs"][0].update(digest=DIGEST), ("unknown", "")),
    "no values": (lambda f: f["governance"]["packs"][0].pop("parameters"), ("without-parameters", "")),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_whatever_differs_from_the_pinned_pack_is_found(kind: str, tmp_path: Path) -> None:
    change, wanted = CHANGES[kind]
    held = built(tmp_path)
    assert wanted in _differences(held, _with(held, change))


def test_a_rule_that_moved_to_another_place_is_found(tmp_path: Path) -> None:
    rules = "place: termination\nrules:\n  - id: stop\n    effect: forbid\n    when: context.usage.turns > ${cap}\n    because: enough\n    controls: [OWN-1]\n  - {id: vip, effect: forbid, given: [vip], when: 'context.run == ${vip}', because: no}\n"
    held = built(tmp_path, rules=rules)

    def move(fields: dict[str, Any]) -> None:
        (rule,) = fields["governance"]["termination"]
        fields["governance"]["termination"] = []
        fields["governance"]["rules"].append({**rule, "on": ["continue"]})

    assert _differences(held, _with(held, move)) == [("edited", "caps.stop")]
