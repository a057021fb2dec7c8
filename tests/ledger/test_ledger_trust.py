"""What `remit verify` says to signatures that are not to be believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from remit.cli.main import cli

DESK = Path(__file__).parents[2] / "examples" / "refund-desk"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ("build", str(DESK), "--output", "plain.agent.json"),
        ("keys", "new", "alice"),
        ("keys", "new", "bob"),
        ("sign", "plain.agent.json", "--key", "alice.key.pem", "--output", "once.agent.json"),
        ("sign", "once.agent.json", "--key", "alice.key.pem", "--name", "al", "--output", "same.agent.json"),
        ("sign", "once.agent.json", "--key", "bob.key.pem", "--output", "both.agent.json"),
    ):
        assert CliRunner().invoke(cli, arguments).exit_code == 0
    return tmp_path


ALICE = ("--trust", "alice.pub.pem")
BOB = ("--trust", "bob.pub.pem")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plain.agent.json", *ALICE), "0 trusted signature(s)"),
        (("once.agent.json", *BOB), "foreign"),
        (("once.agent.json", "--trust", "alice=bob.pub.pem"), "made by another key"),
        (("once.agent.json", *ALICE, "--not-after", "alice=2020-01-01T00:00:00.000Z"), "has expired"),
        (("once.agent.json", *ALICE, "--not-before", "alice=2999-01-01T00:00:00.000Z"), "not valid before"),
        (("once.agent.json", *ALICE, "--not-before", "alice=soon"), "validity of key alice"),
        (("once.agent.json", *ALICE, "--not-before", "bob=2999-01-01T00:00:00.000Z"), "no trusted key"),
        (("once.agent.json", *ALICE, *BOB, "--threshold", "2"), "1 trusted signature(s)"),
        (("same.agent.json", *ALICE, "--trust", "al=alice.pub.pem", "--threshold", "2"), "1 trusted"),
        (("both.agent.json", "--threshold", "2"), "`--threshold` needs a key to believe"),
        (("both.agent.json", "--require-signature"), "`--require-signature` needs a key to believe"),
        (("both.agent.json", *ALICE, "--trust", "alice=bob.pub.pem"), "two `--trust` keys"),
    ],
)
def test_a_signature_that_is_not_to_be_believed_is_refused_in_one_line(
    folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    assert folder == Path.cwd()
    said = CliRunner().invoke(cli, ["verify", *arguments])
    assert (said.exit_code, said.stdout) == (2, "")
    assert message in said.stderr
    assert said.stderr.count("\n") == 1


def test_two_people_sign_and_both_are_believed(folder: Path) -> None:
    assert folder == Path.cwd()
    said = CliRunner().invoke(cli, ["verify", "both.agent.json", *ALICE, *BOB, "--threshold", "2", "--json"])
    assert json.loads(said.stdout)["trusted_signers"] == ["alice", "bob"]


def test_a_signature_copied_onto_changed_content_is_refused_by_the_field(folder: Path) -> None:
    value = json.loads((folder / "once.agent.json").read_text())
    agent = json.loads((folder / "plain.agent.json").read_text())
    agent["capabilities"]["instructions"] += "!"
    agent["identity"]["signatures"] = value["identity"]["signatures"]
    (folder / "copied.agent.json").write_text(json.dumps(agent))
    said = CliRunner().invoke(cli, ["verify", "copied.agent.json", *ALICE])
    assert said.exit_code == 2
    assert "capabilities" in said.stderr
