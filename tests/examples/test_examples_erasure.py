"""The care navigator: health data stays, is read by care staff only, and one person's data can be erased."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from examples_support import build, copy_example, holding, remit, rows

from remit import Caller, Runtime
from remit.document.entries import prove, verify_proof
from remit.document.parse import parse_document, serialize_document
from remit_adapters.sqlite_store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

NORA = Caller(id="nora", roles=("care",), attributes={"jurisdiction": "EU"})
PIA = Caller(id="pia", roles=("privacy-officer",), attributes={"jurisdiction": "EU"})
BILL = Caller(id="bill", roles=("billing",), attributes={"jurisdiction": "EU"})
SUBJECT = "P-739214"
NOTE = "Is allergic to zyprofenol and afraid of needles."
WISH = "Wants to be called Doctor Quillfeather."
OTHER = "Walks with a stick."


@pytest.fixture
def navigator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CARE_NAVIGATOR_DB", raising=False)
    monkeypatch.delenv("REMIT_STORE", raising=False)
    return copy_example("care-navigator", tmp_path)


def _open(navigator: Path, *, backend: str = "scripted", store: str = ".remit") -> Runtime:
    file = navigator / "care-navigator.agent.json"
    if not file.exists():
        file.write_bytes(serialize_document(build(navigator)))
    return Runtime.open(file, store=navigator / store, backend=backend)


def _remember(runtime: Runtime) -> None:
    for block, value, subject in (
        ("care_notes", NOTE, SUBJECT),
        ("preferences", WISH, SUBJECT),
        ("care_notes", OTHER, "P-200"),
    ):
        assert runtime.remember(block, value, by=NORA, subject=subject).allowed


def test_a_request_books_an_appointment(navigator: Path) -> None:
    with _open(navigator) as runtime:
        result = runtime.run("Book cardiology in Vienna for P-100 on 2026-12-01.", caller=NORA)
    assert result.status == "completed"
    assert rows(navigator / "clinics.sqlite3", "SELECT clinic_id, patient_id FROM appointments") == [
        ("C-1", "P-100")
    ]


def test_health_data_keeps_a_turn_away_from_a_back_end_overseas(navigator: Path) -> None:
    with _open(navigator, backend="scripted-overseas") as runtime:
        before = runtime.run("Book it.", caller=NORA)
        assert before.status == "completed"
        _remember(runtime)
        after = runtime.run("Book it.", caller=NORA)
    assert after.status != "completed"
    assert ("deny", ("health-data-stays",)) in [
        (s.verdict, s.rules) for s in after.steps if s.action == "dispatch"
    ]


def test_health_data_may_go_to_the_back_end_in_the_same_region(navigator: Path) -> None:
    with _open(navigator) as runtime:
        _remember(runtime)
        assert runtime.run("Book it.", caller=NORA).status == "completed"


def test_only_the_care_role_reads_care_notes(navigator: Path) -> None:
    with _open(navigator) as runtime:
        _remember(runtime)
        assert NOTE in str(runtime.recall("care_notes", by=NORA, subject=SUBJECT).value)
        refused = runtime.recall("care_notes", by=BILL, subject=SUBJECT)
        assert not refused.allowed
        assert NOTE not in str(refused)
        assert runtime.recall("preferences", by=BILL, subject=SUBJECT).allowed


def test_only_privacy_officers_take_notes_away_and_one_person_at_a_time(navigator: Path) -> None:
    with _open(navigator) as runtime:
        _remember(runtime)
        exported = runtime.export("care_notes", by=PIA, subject=SUBJECT)
        assert exported.allowed
        assert (NOTE in str(exported.value), OTHER in str(exported.value)) == (True, False)
        assert not runtime.export("care_notes", by=PIA).allowed
        assert not runtime.export("care_notes", by=NORA, subject=SUBJECT).allowed


def test_after_erasure_nothing_of_the_person_is_left_and_everything_still_verifies(navigator: Path) -> None:
    with _open(navigator) as runtime:
        _remember(runtime)
        assert runtime.run("Book cardiology in Vienna for P-100.", caller=NORA).status == "completed"
        filled = runtime.document
        assert not runtime.erase("care_notes", by=NORA, subject=SUBJECT).allowed
        assert NOTE in str(runtime.recall("care_notes", by=NORA, subject=SUBJECT).value)
        assert holding(navigator / ".remit", (NOTE, WISH)) == [], "what is about a person is sealed"
        shutil.copytree(navigator / ".remit", navigator / "backup")
        for block in ("care_notes", "preferences"):
            assert runtime.erase(block, by=PIA, subject=SUBJECT).allowed
        erased = runtime.document
        assert runtime.recall("care_notes", by=NORA, subject=SUBJECT).value == []
        assert OTHER in str(runtime.recall("care_notes", by=NORA, subject="P-200").value)
    assert filled.identity.agent == erased.identity.agent
    assert filled.memory.value["root"] == erased.memory.value["root"]
    assert erased.memory.value["count"] == 3

    written = serialize_document(erased)
    (navigator / "after.agent.json").write_bytes(written)
    again = parse_document(written)
    assert erased.identity == again.identity
    for entry in filled.memory.tree:
        assert verify_proof(str(again.memory.value["root"]), prove(again.memory, entry.id))

    # The keys of today say that the person is erased, so a copy of yesterday's store says so, too.
    shutil.copyfile(navigator / ".remit" / "subjects.db", navigator / "backup" / "subjects.db")
    with _open(navigator, store="backup") as restored:
        assert restored.document.identity == filled.identity
        assert restored.recall("care_notes", by=NORA, subject=SUBJECT).value == []
        assert OTHER in str(restored.recall("care_notes", by=NORA, subject="P-200").value)

    assert holding(navigator, (NOTE, "zyprofenol", WISH, "Quillfeather")) == []
    assert SUBJECT.encode() not in written
    assert remit("ledger", "verify", "--store", ".remit", cwd=navigator, code=0)
    assert remit("verify", "after.agent.json", cwd=navigator, code=0)


def test_the_persons_id_can_be_erased_from_the_ledgers_contents_too_and_the_ledger_still_verifies(
    navigator: Path,
) -> None:
    with _open(navigator) as runtime:
        _remember(runtime)
        for block in ("care_notes", "preferences"):
            assert runtime.erase(block, by=PIA, subject=SUBJECT).allowed
        store = runtime.store
        naming = [record.index for record in store.records() if SUBJECT in str(record.content)]
        assert naming != []
        assert [record.index for record in store.records() if SUBJECT in str(record.value)] == []
        assert isinstance(store, SqliteStore)
        store.erase_content(*naming, by="pia", reason="erasure request 17")
    assert holding(navigator, (SUBJECT, NOTE, WISH)) == []
    assert remit("ledger", "verify", "--store", ".remit", cwd=navigator, code=0)


def test_erasing_twice_is_harmless(navigator: Path) -> None:
    with _open(navigator) as runtime:
        _remember(runtime)
        first = runtime.erase("care_notes", by=PIA, subject=SUBJECT)
        second = runtime.erase("care_notes", by=PIA, subject=SUBJECT)
    assert (len(first.value), second.allowed, second.value) == (1, True, [])  # type: ignore[arg-type]  # a list of ids
