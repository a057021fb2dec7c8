from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cedarpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.policy.base import base_policy_text, base_schema_text
from remit.policy.cedar_text import (
    join_list,
    masked,
    nesting,
    nests_beyond,
    quoted,
    split_list,
    split_policies,
)
from remit.policy.origins import Origin, fault_at

CORPUS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "cedar-tests"
CASES = sorted(path.relative_to(CORPUS).as_posix() for path in CORPUS.glob("tests/*/*.json"))

needs_corpus = pytest.mark.skipif(
    not CASES, reason="Cedar's integration tests are not in ../shared/data/cedar-tests"
)


def loaded(case: str) -> tuple[dict[str, Any], str]:
    test = json.loads((CORPUS / case).read_text(encoding="utf-8"))
    return test, (CORPUS / test["policies"]).read_text(encoding="utf-8")


@needs_corpus
@pytest.mark.parametrize("case", CASES)
def test_cedars_own_policies_split_as_the_engine_counts_them(case: str) -> None:
    _, text = loaded(case)
    pieces = split_policies(text)
    whole = cedarpy.PolicySet.from_str(text).to_pst()
    assert len(whole.static_policies) == len(pieces)
    for index, piece in enumerate(pieces):
        assert text[piece.offset : piece.offset + len(piece.text)] == piece.text
        alone = next(iter(cedarpy.PolicySet.from_str(piece.text).to_pst().static_policies.values()))
        expected = whole.static_policies[f"policy{index}"]
        assert (
            expected.effect,
            expected.principal,
            expected.action,
            expected.resource,
            expected.clauses,
        ) == (
            alone.effect,
            alone.principal,
            alone.action,
            alone.resource,
            alone.clauses,
        )


@needs_corpus
@pytest.mark.parametrize("case", CASES)
def test_cedars_own_tests_give_the_same_answers_once_split_and_joined(case: str) -> None:
    test, text = loaded(case)
    joined = "\n\n".join(piece.text for piece in split_policies(text))
    schema = (CORPUS / test["schema"]).read_text(encoding="utf-8")
    entities = (CORPUS / test["entities"]).read_text(encoding="utf-8")
    assert test["shouldValidate"] == cedarpy.validate_policies(joined, schema).validation_passed
    for request in test["requests"]:
        asked = {name: request[name] for name in ("principal", "action", "resource", "context")}
        checked = schema if request.get("validateRequest", True) else None
        result = cedarpy.is_authorized(asked, joined, entities, checked)
        assert (request["decision"], sorted(request["reason"])) == (
            result.decision.value.lower(),
            sorted(result.diagnostics.reasons),
        )
        assert len(request["errors"]) == len(result.diagnostics.errors)
        assert all(
            any(f"`{name}`" in message for message in result.diagnostics.errors) for name in request["errors"]
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  // only a comment", []),
        ("permit(principal,action,resource);", [(0, True)]),
        (
            '// a;b\n@id(";") permit(principal,action,resource); // c;\nforbid(principal,action,resource)',
            [(7, True), (57, False)],
        ),
        (
            'permit(principal,action,resource) when { "\\";" == "//" }; permit(principal,action,resource);',
            [(0, True), (58, True)],
        ),
        ('permit("unclosed ; text', [(0, False)]),
        (";", [(0, True)]),
        ("permit(principal,action,resource) // ; not here\n;", [(0, True)]),
    ],
)
def test_only_a_semicolon_outside_of_texts_and_comments_ends_a_policy(
    text: str, expected: list[tuple[int, bool]]
) -> None:
    assert expected == [(piece.offset, piece.closed) for piece in split_policies(text)]


@given(st.text(alphabet='p;"\\/\n é@()', max_size=60))
def test_splitting_loses_nothing_but_space_and_comments(text: str) -> None:
    position = 0
    for piece in split_policies(text):
        between = masked(text)[position : piece.offset]
        assert between.replace(";", "").strip(" \n") in {"", *between.split()} or "//" in text
        assert text[piece.offset : piece.offset + len(piece.text)] == piece.text
        assert piece.offset >= position
        position = piece.offset + len(piece.text)


@given(st.text(max_size=40).filter(lambda text: not any(0xD800 <= ord(c) <= 0xDFFF for c in text)))
def test_a_quoted_text_is_read_back_by_the_engine(text: str) -> None:
    policy = f"@id({quoted(text)}) permit(principal, action, resource);"
    tree = next(iter(cedarpy.PolicySet.from_str(policy).to_pst().static_policies.values()))
    assert text == tree.annotations["id"]


@given(st.lists(st.text(alphabet="ab,\\ ", min_size=1, max_size=6).map(str.strip).filter(bool)))
def test_a_list_survives_its_annotation(items: list[str]) -> None:
    assert tuple(items) == split_list(join_list(tuple(items)))


def test_a_list_is_written_as_people_write_it() -> None:
    assert split_list(" GDPR-5 ,SOX-404, ") == ("GDPR-5", "SOX-404")


@given(st.text(max_size=80))
def test_masking_keeps_every_position(text: str) -> None:
    assert len(text) == len(masked(text))
    assert [i for i, c in enumerate(text) if c == "\n"] == [
        i for i, c in enumerate(masked(text)) if c == "\n"
    ]


@pytest.mark.parametrize(
    ("text", "at_least"),
    [
        ("((((1))))", 4),
        ("a && b && c", 2),
        ("a.b.c.d", 3),
        ("if a then b else if c then d else e", 2),
        ("1+1+1", 2),
    ],
)
def test_nesting_is_never_underestimated(text: str, at_least: int) -> None:
    assert nesting(text) >= at_least


SIGNS = ["(", ")", "[", "{", "}", "&&", "||", "if", "is", "in", "!", "==", "<", ".b", ",", ";", '"']
TEXTS = st.lists(st.sampled_from([*SIGNS, '"a && (b"', "// [[\n", "\\", "x", " "]), max_size=60).map("".join)


@given(TEXTS, st.integers(min_value=0, max_value=30))
def test_a_text_nests_beyond_a_limit_where_its_nesting_is_above_it(text: str, limit: int) -> None:
    assert nests_beyond(text, limit) == (nesting(text) > limit)


def test_wide_lists_and_texts_are_not_deep() -> None:
    wide = "[" + ", ".join(f'"((((({n}"' for n in range(5000)) + "].contains(context.run)"
    assert nesting(wide) < 10


@given(
    st.text(alphabet="ab\n", max_size=30),
    st.integers(min_value=0, max_value=30),
    st.integers(min_value=0, max_value=6),
)
def test_a_position_counts_lines_columns_and_indentation(text: str, offset: int, indent: int) -> None:
    offset = min(offset, len(text))
    lines = text[:offset].split("\n")
    place = Origin(file="f", line=10, column=5, indent=indent).at(text, offset)
    column = 5 + len(lines[0]) if len(lines) == 1 else 1 + indent + len(lines[-1])
    assert (10 + len(lines) - 1, column) == (place.line, place.column)


def test_a_fault_without_an_exact_origin_points_at_the_enclosing_member() -> None:
    origins = {"/governance/rules/0": Origin(file="a.yaml", line=4, column=3)}
    fault = fault_at(origins, "/governance/rules/0/when", "wrong", text="abc", offset=2)
    assert (
        fault.file,
        fault.line,
        fault.column,
        fault.pointer,
    ) == ("a.yaml", 4, 3, "/governance/rules/0/when")


def test_the_base_files_are_valid_cedar() -> None:
    assert len(split_policies(base_policy_text())) == len(
        cedarpy.PolicySet.from_str(base_policy_text()).to_pst().static_policies
    )
    assert cedarpy.Schema.from_str(base_schema_text()) is not None
