"""The decision log as other programs read it: JSON lines, OCSF and OPA decision logs, of a real ledger."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import tracemalloc
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

import ocsf_6003
import pytest
from click.testing import CliRunner, Result
from telemetry_support import ANA, open_desk, recorded

from remit import Caller, DocumentError, EvaluationError
from remit.cli.exits import ExitCode
from remit.cli.main import cli
from remit.document.values import canonical_bytes
from remit.gate.obligations import REDACTED
from remit.ports import Batch
from remit.project.build import whole_file
from remit.records import Draft, Record
from remit.workbench.exports.ocsf import ocsf_event
from remit.workbench.exports.opa import opa_event
from remit.workbench.exports.selection import Selection, moment, told
from remit.workbench.exports.writing import write_array
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RITA = Caller(id="rita", roles=("risk-officer",), attributes={"jurisdiction": "EU"})
BOB = Caller(id="bob", roles=("clerk",), attributes={"jurisdiction": "US"})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with every verdict: a denied run, one that waited and was approved, and a refused memory."""
    folder = tmp_path_factory.mktemp("desk") / "store"
    with open_desk(folder, transcript="large-refund") as runtime:
        runtime.run("Refund 40 euros.", caller=BOB)
        result = runtime.run("Refund 900 euros for order A-1002, it does not work.", caller=ANA)
        runtime.approve(result.pending.id, by=RITA, reason="seen")
        runtime.resume_run(result.run)
        runtime.remember("no-such-block", "a note", by=ANA)
    return folder


def export(store: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["ledger", "export", "--store", str(store), *options])


def lines(said: Result) -> list[dict[str, Any]]:
    assert said.exit_code == 0, said.output
    return [json.loads(line) for line in said.stdout.splitlines()]


def test_json_lines_are_the_records_that_show_gives(store: Path) -> None:
    shown = CliRunner().invoke(cli, ["ledger", "show", "--store", str(store), "--json"])
    assert lines(export(store, "--format", "jsonl")) == json.loads(shown.stdout)


def test_every_ocsf_event_has_what_the_class_and_its_profile_require(store: Path) -> None:
    events = lines(export(store, "--format", "ocsf"))
    assert len(events) == len(recorded(store, "decision")) == 9
    assert [(event["metadata"]["uid"], ocsf_6003.faults(event)) for event in events] == [
        (record.digest, []) for record in recorded(store, "decision")
    ]


@pytest.mark.parametrize("path", sorted({**ocsf_6003.REQUIRED, **ocsf_6003.RECOMMENDED}))
def test_the_table_notices_each_attribute_that_is_missing(store: Path, path: str) -> None:
    event = lines(export(store, "--format", "ocsf"))[0]
    *way, last = path.split(".")
    inner = event
    for step in way:
        inner = inner[step]
    if last in ("class_uid", "activity_id"):
        inner[last] = "6003"
    else:
        del inner[last]
    assert [fault for fault in ocsf_6003.faults(event) if f"`{path}`" in fault]


def test_an_ocsf_event_says_what_became_of_a_request(store: Path) -> None:
    events = lines(export(store, "--format", "ocsf"))
    said = {
        (event["api"]["operation"], event["status_detail"]): (
            event["action"],
            event["disposition"],
            event["status"],
            event["severity"],
        )
        for event in events
    }
    assert said["activate", "forbidden"] == ("Denied", "Unauthorized", "Failure", "Medium")
    assert said["refund", "awaiting_approval"] == ("Unknown", "Delayed", "awaiting_approval", "Low")
    assert said["refund", "allowed"] == ("Allowed", "Approved", "Success", "Informational")
    assert said["remember", "invalid_arguments"] == ("Denied", "Rejected", "Failure", "Medium")
    assert said["continue", "allowed"] == ("Allowed", "Allowed", "Success", "Informational")


def test_an_ocsf_event_names_caller_rules_image_and_time(store: Path) -> None:
    record = next(
        record
        for record in recorded(store, "decision")
        if record.value["body"]["verdict"] == "awaiting_approval"
    )
    (event,) = (
        event
        for event in lines(export(store, "--format", "ocsf"))
        if event["metadata"]["uid"] == record.digest
    )
    body = record.value["body"]
    assert event["actor"]["user"]["uid"] == "ana-the-clerk"
    assert event["policy"]["uid"] == body["image"]
    assert [item["policy"]["uid"] for item in event["authorizations"]] == body["reasons"] or body["rules"]
    assert event["time"] / 1000 == datetime.fromisoformat(record.value["at"]).timestamp()
    assert event["metadata"]["sequence"] == record.index
    assert event["api"]["request"]["data"]["amount"] == 900


def test_opa_events_have_their_members_and_ids_of_the_ledger(store: Path) -> None:
    said = export(store, "--format", "opa")
    events = json.loads(said.stdout)
    for event, record in zip(events, recorded(store, "decision"), strict=True):
        body = record.value["body"]
        assert event["decision_id"] == record.digest
        assert event["bundles"]["policy-image"]["revision"] == body["image"]
        assert event["path"] == f"remit/{body['action']}"
        assert event["result"]["allow"] == (body["verdict"] == "allow")
        assert datetime.fromisoformat(event["timestamp"]).utcoffset().total_seconds() == 0
        assert event["input"]["action"] == body["action"]
        assert "erased" not in event
    waits = next(event for event in events if event["result"]["verdict"] == "awaiting_approval")
    assert waits["requested_by"] == "ana-the-clerk"
    assert waits["input"]["context"]["input"]["amount"] == 900


def test_a_file_that_ends_in_gz_is_compressed_and_the_same_each_time(store: Path, tmp_path: Path) -> None:
    for name in ("one.json.gz", "two.json.gz"):
        assert export(store, "--format", "opa", "-o", str(tmp_path / name)).exit_code == 0
    one, two = ((tmp_path / name).read_bytes() for name in ("one.json.gz", "two.json.gz"))
    assert one == two
    assert len(json.loads(gzip.decompress(one))) == len(recorded(store, "decision"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.json.gz", "two.json.gz"]


def test_content_that_was_erased_is_named_and_not_told(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with open_desk(folder) as runtime:
        runtime.run("Refund 40 euros for order A-1001.", caller=ANA)
    record = next(item for item in recorded(folder, "decision") if item.value["body"]["action"] == "refund")
    opened = open_store(folder)
    opened.erase_content(record.index, by="otto", reason="asked for")
    opened.close()
    (event,) = (
        event
        for event in json.loads(export(folder, "--format", "opa").stdout)
        if event["decision_id"] == record.digest
    )
    (other,) = (
        event
        for event in lines(export(folder, "--format", "ocsf"))
        if event["metadata"]["uid"] == record.digest
    )
    assert "/input/context" in event["erased"]
    assert set(event["input"]) == {"principal", "action", "resource"}
    assert other["unmapped"]["content_erased"] is True
    assert ocsf_6003.faults(other) == []
    assert "A-1001" not in json.dumps([event, other])


def test_without_content_no_request_is_told_in_any_format(store: Path) -> None:
    for form in ("jsonl", "ocsf", "opa"):
        said = export(store, "--format", form, "--no-content")
        assert said.exit_code == 0
        assert [word for word in ("A-1002", '"amount"') if word in said.stdout] == []
        assert "A-1002" in export(store, "--format", form).stdout


def decision(content: object) -> Record:
    body = {
        "action": "refund",
        "principal": 'Remit::Agent::"a"',
        "resource": 'Remit::Tool::"refund"',
        "verdict": "allow",
        "kind": "allowed",
        "reasons": ["refund"],
        "image": "sha256:" + "1" * 64,
        "request": "sha256:" + "2" * 64,
        "revision": "sha256:" + "3" * 64,
        "step": 1,
    }
    value = {
        "agent": "a",
        "at": "2026-01-01T00:00:00.000Z",
        "body": body,
        "content": "sha256:" + "4" * 64,
        "index": 0,
        "kind": "decision",
        "run": "r",
        "spec": "remit/ledger/1",
    }
    return Record(index=0, value=value, digest="sha256:" + "5" * 64, content=content)


def test_what_a_rule_masked_for_the_tool_is_masked_in_the_request_too() -> None:
    content = {
        "context": {"input": {"iban": "DE02", "to": {"a/b": "DE02", "ok": 1}}},
        "arguments": {"iban": REDACTED, "to": {"a/b": REDACTED, "ok": 1}},
    }
    before = canonical_bytes(content)
    event = opa_event(told(decision(content)), version="0")
    assert event["masked"] == [
        "/input/arguments/iban",
        "/input/context/input/iban",
        "/input/arguments/to/a~1b",
        "/input/context/input/to/a~1b",
    ]
    assert "DE02" not in json.dumps(event)
    assert "DE02" not in json.dumps(ocsf_event(told(decision(content)), version="0", log="l"))
    assert canonical_bytes(content) == before


def test_a_sentence_that_quotes_an_argument_goes_with_the_content() -> None:
    record = decision({"context": {}, "arguments": {"amount": "DE02"}})
    record.value["body"] |= {
        "verdict": "deny",
        "kind": "invalid_arguments",
        "message": "`arguments.amount`: 'DE02' is not of type 'integer'",
        "errors": [{"rule": "refund", "message": "no `DE02`"}],
    }
    event = opa_event(told(record, content=False), version="0")
    other = ocsf_event(told(record, content=False), version="0", log="l")
    assert event["erased"][-2:] == ["/result/message", "/result/errors/0/message"]
    assert event["result"]["errors"] == [{"rule": "refund"}]
    assert "DE02" not in json.dumps([event, other])
    assert "DE02" in opa_event(told(record), version="0")["result"]["message"]


def test_only_records_of_the_wanted_time_agent_and_kind_are_exported(store: Path) -> None:
    every = lines(export(store, "--format", "jsonl"))
    middle = every[len(every) // 2]["record"]["at"]
    early = lines(export(store, "--format", "jsonl", "--to", middle))
    late = lines(export(store, "--format", "jsonl", "--from", middle))
    agent = every[0]["record"]["agent"].removeprefix("sha256:")
    approvals = lines(export(store, "--format", "jsonl", "--kind", "approval", "--agent", agent[:12]))
    assert early + late == every
    assert {item["record"]["at"] < middle for item in early} == {True}
    assert [item["record"]["body"]["by"] for item in approvals]
    later = ("--from", "2999-01-01")
    assert lines(export(store, "--format", "jsonl", *later)) == []
    assert json.loads(export(store, "--format", "opa", *later).stdout) == []


def test_an_agent_that_is_not_there_is_refused_before_a_file_is_written(store: Path, tmp_path: Path) -> None:
    place = tmp_path / "out.jsonl"
    done = CliRunner().invoke(
        cli,
        ["ledger", "export", "--store", str(store), "--format", "jsonl", "--agent", "0123", "-o", str(place)],
    )
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "the store holds no agent `0123`" in done.stderr
    assert not place.exists()


def test_times_are_read_with_their_offset() -> None:
    assert moment("2026-11-01") == "2026-11-01T00:00:00.000Z"
    assert moment("2026-11-01T08:00:00+02:00") == "2026-11-01T06:00:00.000Z"
    assert moment("2026-11-01T08:00:00.5Z") == "2026-11-01T08:00:00.500Z"
    for text in ("yesterday", "2026-11-01T08:00:00", "2026-13-01", "12:00"):
        with pytest.raises(EvaluationError, match="is no time"):
            moment(text)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--format", "ocsf", "--kind", "run"), "holds decisions alone"),
        (("--format", "jsonl", "--json"), "`--json` beside an export to stdout"),
        (("--format", "jsonl", "--from", "soon"), "`soon` is no time"),
        (("--format", "jsonl", "--from", "2026-02-01", "--to", "2026-01-01"), "is not after"),
        (("--format", "jsonl", "-o", "nowhere/x.jsonl"), "lies in no folder"),
        (("--format", "csv"), "csv"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    store: Path, options: tuple[str, ...], said: str
) -> None:
    result = export(store, *options)
    assert result.exit_code == 2
    assert said in result.output


def test_with_json_the_export_says_what_it_did(store: Path, tmp_path: Path) -> None:
    said = export(store, "--format", "ocsf", "-o", str(tmp_path / "x.jsonl"), "--json")
    assert json.loads(said.stdout) == {
        "format": "ocsf",
        "output": str(tmp_path / "x.jsonl"),
        "records": len(recorded(store, "decision")),
        "read": len(lines(export(store, "--format", "jsonl"))),
    }


def test_records_that_come_during_an_export_wait_for_the_next() -> None:
    records = [Record(index=n, value=decision({}).value, digest="") for n in range(5)]
    assert [record.index for record in Selection(size=3).of(records)] == [0, 1, 2]


def test_an_export_holds_no_more_than_a_few_records_at_a_time() -> None:
    def peak(count: int) -> int:
        class Counted(BytesIO):
            def write(self, data: object) -> int:
                return len(data)  # type: ignore[arg-type]

        def records() -> Iterator[Record]:
            for _ in range(count):
                yield decision({"context": {"input": {"text": "x" * 1000}}})

        tracemalloc.start()
        values = (opa_event(told(record), version="0") for record in Selection().of(records()))
        assert write_array(values, Counted()) == count
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    # Two thousand records of more than a kilobyte are read; a tenth of that is never held at once.
    assert peak(2000) < 2000 * 1000 / 10


def _part(stream: BinaryIO, error: type[BaseException]) -> None:
    stream.write(b"a part")
    raise error


def test_whatever_ends_a_file_early_leaves_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"before")
    for error in (KeyboardInterrupt, ValueError):
        with pytest.raises(error), whole_file(path) as stream:
            _part(stream, error)
    with pytest.raises(DocumentError, match="cannot be written"), whole_file(path):
        raise OSError(28, "No space left on device")
    assert [(item.name, item.read_bytes()) for item in tmp_path.iterdir()] == [("x.jsonl", b"before")]


def test_an_interrupt_leaves_no_part_of_an_export(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    opened = open_store(folder)
    for start in range(0, 20_000, 500):
        drafts = tuple(
            Draft(
                kind="decision",
                agent="a",
                run="r",
                at="2026-01-01T00:00:00.000Z",
                body={"n": n},
                content={"context": {"input": {"text": "x" * 200}}},
            )
            for n in range(start, start + 500)
        )
        opened.submit(Batch(records=drafts)).result()
    opened.close()
    out = tmp_path / "out"
    out.mkdir()
    code = "from remit.cli.main import main; main()"
    command = [sys.executable, "-c", code, "ledger", "export", "--format", "jsonl", "--store", str(folder)]
    process = subprocess.Popen(
        [*command, "-o", str(out / "x.jsonl")], stderr=subprocess.PIPE, env={**os.environ, "NO_COLOR": "1"}
    )
    while process.poll() is None and not list(out.iterdir()):
        pass
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"interrupted" in said
    assert list(out.iterdir()) == []
