"""Accepted cases: appended as text, whole or not at all, and nothing else of the file changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from workbench_desk import CASES, Desk, question, read_desk, write_desk

from remit.errors import DocumentError
from remit.project.answers import settle
from remit.project.questions import build_request
from remit.workbench.accepting import ACCEPTED_FILE, Accepted, accept_case
from remit.workbench.asked_cases import requests_of

if TYPE_CHECKING:
    from pathlib import Path

ASKED = question("pay", input={"amount": 500, "to": 'B "the" Öder: #1'})
WRITTEN = (
    '  - name: "500 is paid: at once"\n'
    '    request: {"caller": {"id": "ana", "jurisdiction": "EU"}, "action": "pay", '
    '"input": {"amount": 500, "to": "B \\"the\\" Öder: #1"}}\n'
    '    expect: {"decision": "allow", "rules": ["pay"], "kind": "allowed"}\n'
)


def accept(folder: Path, name: str = "500 is paid: at once") -> tuple[Accepted, Desk]:
    desk = read_desk(folder)
    verdict = settle(desk.engine, desk.image, build_request(desk.document, ASKED))
    return accept_case(folder, name=name, question=ASKED, verdict=verdict), desk


def hold(desk: Desk) -> list[str]:
    """Return the names of the project's cases, all of which must hold."""
    cases = requests_of(desk.folder, desk.document, desk.image)
    assert [case.problems(desk.engine, desk.image) for case in cases] == [()] * len(cases)
    return [case.name for case in cases]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(CASES, CASES + WRITTEN, id="comments and indentation stay"),
        pytest.param(CASES.rstrip("\n"), CASES + WRITTEN, id="a last line without an end gets one"),
        pytest.param(
            CASES + "# the end\n", CASES + "# the end\n" + WRITTEN, id="a comment at the end stays there"
        ),
        pytest.param(
            CASES.replace("\n", "\r\n"), (CASES + WRITTEN).replace("\n", "\r\n"), id="line ends stay"
        ),
        pytest.param("\ufeff" + CASES, "\ufeff" + CASES + WRITTEN, id="a byte order mark stays"),
        pytest.param(
            CASES.replace("cases:\n", "").replace("\n  ", "\n"),
            CASES.replace("cases:\n", "").replace("\n  ", "\n") + WRITTEN.replace("\n  ", "\n")[2:],
            id="a bare list is indented as it was",
        ),
    ],
)
def test_a_case_is_appended_and_nothing_else_changes(tmp_path: Path, before: str, after: str) -> None:
    folder = write_desk(tmp_path)
    path = folder / "cases" / "desk.yaml"
    path.write_bytes(before.encode())
    done, desk = accept(folder)
    assert done.file == "cases/desk.yaml"
    assert path.read_bytes().decode() == after
    assert hold(desk)[-1] == "500 is paid: at once"
    done.take_back(folder)
    assert path.read_bytes().decode() == before


@pytest.mark.parametrize(
    "cases",
    [
        'cases: [{name: "x", request: {action: look}, expect: {decision: deny}}]\n',
        "cases: []\n",
        "cases:\n  - {name: x, request: {action: pay, input: {amount: 1, to: b}}, expect: {decision: deny}}\nx-note: behind the cases\n",
    ],
)
def test_a_file_that_cannot_be_appended_to_is_left_alone(tmp_path: Path, cases: str) -> None:
    folder = write_desk(tmp_path, cases=cases)
    done, _ = accept(folder)
    assert (folder / "cases" / "desk.yaml").read_text() == cases
    assert done == Accepted(file=ACCEPTED_FILE, before=None)
    text = (folder / ACCEPTED_FILE).read_text()
    assert text.startswith("# Requests that told a changed rule from the original")
    assert text.endswith("cases:\n" + WRITTEN)
    again, _ = accept(folder, "again")
    assert again.file == ACCEPTED_FILE
    again.take_back(folder)
    assert (folder / ACCEPTED_FILE).read_text() == text
    done.take_back(folder)
    assert not (folder / ACCEPTED_FILE).exists()


def test_a_case_goes_to_the_file_with_most_cases_of_its_action(tmp_path: Path) -> None:
    folder = write_desk(tmp_path)
    other = "cases:\n  - {name: looks, request: {action: look, caller: {id: a, jurisdiction: EU}}, expect: {decision: deny}}\n"
    (folder / "cases" / "aaa.yaml").write_text(other)
    done, _ = accept(folder)
    assert done.file == "cases/desk.yaml"
    assert (folder / "cases" / "aaa.yaml").read_text() == other


def test_no_file_that_takes_a_case_is_told(tmp_path: Path) -> None:
    folder = write_desk(tmp_path, cases="cases: []\n")
    (folder / ACCEPTED_FILE).write_text("cases: []\n")
    with pytest.raises(DocumentError, match=r"`cases/accepted\.yaml` cannot be appended to"):
        accept(folder)
    assert (folder / ACCEPTED_FILE).read_text() == "cases: []\n"
