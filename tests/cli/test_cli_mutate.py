"""`remit mutate`: survivors with their requests, the score, and requests kept as cases by one command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cli_desk import CASES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_survivor_is_shown_with_a_request_both_answers_and_the_command_that_keeps_it(
    remit: Any, project: Callable[..., Path]
) -> None:
    project()
    done = remit("mutate", "desk")
    assert done.code == 0
    lines = done.stdout.splitlines()
    change = "shift bound: `context.input.amount > 5000` became `context.input.amount > 5001`"
    (first,) = (number for number, line in enumerate(lines) if change in line)
    assert "desk/rules/desk.yaml:" in lines[first]
    assert '"amount": 5001' in lines[first + 1]
    assert lines[first + 2].endswith("deny, forbidden (pay-cap, pay-ceiling)")
    assert lines[first + 3].endswith("awaiting approval, forbidden (pay-cap)")
    assert "keep such a request as a case with `remit mutate desk --accept" in done.stdout
    assert "mutation score" in lines[-1]


def test_a_request_is_kept_as_a_case_that_holds_and_notices(remit: Any, project: Callable[..., Path]) -> None:
    folder = project()
    before = remit("mutate", "desk", "--json").json
    assert "pay-ceiling#6" in [one["id"] for one in before["survivors"]]
    done = remit("mutate", "desk", "--accept", "pay-ceiling#6", "--json")
    assert done.code == 0
    (accepted,) = done.json["accepted"]
    assert (accepted["mutant"], accepted["file"]) == ("pay-ceiling#6", "cases/desk.yaml")
    assert {one["id"]: one["case"] for one in done.json["killed"]}["pay-ceiling#6"] == accepted["name"]
    assert done.json["score"]["covered"] > before["score"]["covered"]
    text = (folder / "cases" / "desk.yaml").read_text()
    assert text.startswith(CASES)
    checked = remit("check", "desk", "--json").json
    assert (checked["passed"], checked["failed"]) == (3, 0)


def test_a_survivor_can_be_named_by_its_number(remit: Any, project: Callable[..., Path]) -> None:
    project()
    survivors = remit("mutate", "desk", "--json").json["survivors"]
    assert [one["number"] for one in survivors] == [*range(1, len(survivors) + 1)]
    done = remit("mutate", "desk", "--accept", "2", "--json").json
    assert [one["mutant"] for one in done["accepted"]] == [survivors[1]["id"]]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("0", "survivors are"),
        ("999", "survivors are"),
        ("pay-ceiling#66", "did you mean `pay-ceiling#"),
        ("pay#1", "a case notices this change already"),
        ("visits#3", "no request was found that tells this change apart"),
    ],
)
def test_what_names_no_survivor_is_told_why(
    name: str, why: str, remit: Any, project: Callable[..., Path]
) -> None:
    folder = project()
    done = remit("mutate", "desk", "--accept", name)
    assert done.code == 2
    assert done.stderr.startswith(f"error: `--accept {name}` names no survivor; ")
    assert why in done.stderr
    assert (folder / "cases" / "desk.yaml").read_text() == CASES


def test_a_score_below_the_threshold_is_a_finding(remit: Any, project: Callable[..., Path]) -> None:
    project()
    done = remit("mutate", "desk", "--fail-under", "99", "--json")
    assert (done.code, done.json["passed"]) == (1, False)
    assert remit("mutate", "desk", "--fail-under", "1").code == 0


def test_cases_that_fail_already_are_told_with_their_place(remit: Any, project: Callable[..., Path]) -> None:
    project(cases=CASES.replace("allow, rules: [pay]", "deny, rules: []"))
    done = remit("mutate", "desk")
    assert done.code == 2
    assert "desk/cases/desk.yaml:2:5: the case `a small payment is made` fails" in done.stderr


def test_where_one_request_cannot_be_kept_none_is(remit: Any, project: Callable[..., Path]) -> None:
    folder = project()
    # No case is about `boom`, so its request would go into a file of its own, which takes none.
    (folder / "cases" / "accepted.yaml").write_text(
        "cases: [{name: hung, request: {action: hang, caller: {id: ana, jurisdiction: EU}}, expect: {decision: allow}}]\n"
    )
    first = remit("mutate", "desk", "--json")
    assert first.code == 0, first.stderr + first.stdout
    survivors = [one["id"] for one in first.json["survivors"]]
    assert {"pay-ceiling#1", "boom#1"} <= {*survivors}
    done = remit("mutate", "desk", "--accept", "pay-ceiling#1", "--accept", "boom#1")
    assert done.code == 2
    assert "`cases/accepted.yaml` cannot be appended to" in done.stderr
    assert (folder / "cases" / "desk.yaml").read_text() == CASES
