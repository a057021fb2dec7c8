"""Telemetry of the command line: asked for by option, by environment or by the level of the log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from telemetry_support import desk

from remit.cli.main import cli

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    desk(tmp_path / "desk")
    return tmp_path / "desk"


def run(project: Path, *options: str, **environment: str) -> Result:
    arguments = ["run", str(project), "--backend", "scripted", "--as", "ana-the-clerk:clerk"]
    arguments += ["--attr", "jurisdiction=EU", "--input", "Refund 40 euros for order A-1001.", "--json"]
    return CliRunner().invoke(cli, [*arguments, *options], env=environment)


def test_a_run_logs_nothing_unless_it_is_asked_to(project: Path) -> None:
    said = run(project)
    assert (said.exit_code, said.stderr) == (0, "")


def test_the_level_info_logs_each_decision_beside_one_json_value_on_stdout(project: Path) -> None:
    said = run(project, "--log-level", "info")
    assert json.loads(said.stdout)["status"] == "completed"
    assert [said.stderr.count(word) for word in ("run_started", "decision_allowed", "run_ended")] == [1, 6, 1]
    assert "ana-the-clerk" not in said.stderr


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (("--telemetry", "log", "--telemetry-content"), {}),
        ((), {"REMIT_TELEMETRY": "log, otel", "REMIT_TELEMETRY_CONTENT": "true"}),
    ],
)
def test_content_is_told_to_those_who_ask_for_it(
    project: Path, options: tuple[str, ...], environment: dict[str, str]
) -> None:
    said = run(project, "--log-level", "info", *options, **environment)
    assert said.exit_code == 0
    assert "ana-the-clerk" in said.stderr


def test_each_line_of_the_log_may_be_a_json_object(project: Path) -> None:
    said = run(project, "--log-level", "info", REMIT_LOG_FORMAT="json")
    lines = [json.loads(line) for line in said.stderr.splitlines()]
    allowed = [line for line in lines if line["event"] == "decision_allowed"]
    assert [line["event"] for line in lines][0 :: len(lines) - 1] == ["run_started", "run_ended"]
    assert all(line["decision"].startswith("sha256:") for line in allowed)


def test_the_log_that_is_asked_for_by_name_is_heard_unless_its_level_says_otherwise(project: Path) -> None:
    for options, environment in ((("--telemetry", "log"), {}), ((), {"REMIT_TELEMETRY": "log"})):
        assert run(project, *options, **environment).stderr.count("run_started") == 1
    assert run(project, "--telemetry", "log", "--log-level", "warning").stderr == ""
    assert run(project, "--telemetry", "otel").stderr == ""


def test_a_format_of_log_lines_that_is_none_is_bad_input(project: Path) -> None:
    said = run(project, REMIT_LOG_FORMAT="jsonl")
    assert said.exit_code == 2
    (fault,) = json.loads(said.stdout)["error"]["faults"]
    assert fault["message"] == "`REMIT_LOG_FORMAT=jsonl` is no format of log lines"
    assert fault["hint"] == "set `console` or `json`"
    assert run(project, REMIT_LOG_FORMAT="console").exit_code == 0


def test_other_verbs_are_measured_too(project: Path) -> None:
    run(project)
    said = CliRunner().invoke(
        cli,
        [
            "suspend",
            str(project),
            "--as",
            "olga:operator",
            "--attr",
            "jurisdiction=EU",
            "--reason",
            "a test",
            "--log-level",
            "info",
        ],
    )
    assert said.stderr.count("action=suspend") == 1


def test_telemetry_that_is_not_installed_is_bad_input(project: Path) -> None:
    said = run(project, "--telemetry", "loki")
    assert said.exit_code == 2
    assert "no telemetry is called `loki`: there is `log`, `otel`" in said.stdout
    assert not (project / ".remit").exists()
