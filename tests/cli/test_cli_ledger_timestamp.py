"""`remit ledger timestamp`: what is asked of an authority, and what its response shows."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from openssl_authority import OpensslAuthority, open_authority

if TYPE_CHECKING:
    from collections.abc import Callable

ANA = ("--as", "ana", "--attr", "jurisdiction=EU")
STORE = ("--store", "desk/.remit")
VERIFY = ("ledger", "timestamp", "verify")
REQUEST = ("ledger", "timestamp", "request")


@pytest.fixture
def desk(remit: Any, project: Callable[..., Path]) -> None:
    """A run in `desk`, whose newest checkpoint has a request in `held.tsq` and its note in `held.note`."""
    project()
    assert remit("run", "desk", "please pay", *ANA).code == 0
    assert remit(*REQUEST, *STORE, "-o", "held.tsq").code == 0


@pytest.fixture
def authority(desk: None, tmp_path: Path) -> OpensslAuthority:
    """An authority that answered `held.tsq` in `held.tsr`; its certificate lies in `root.pem`."""
    made = open_authority(tmp_path / "authority")
    Path("root.pem").write_bytes(made.certificate)
    Path("held.tsr").write_bytes(made.answer(Path("held.tsq").read_bytes()))
    return made


def test_the_note_that_is_asked_about_lies_beside_the_request_as_the_store_has_it(
    remit: Any, desk: None
) -> None:
    kept = Path("held.note").read_bytes()
    assert remit("ledger", "checkpoint", *STORE).stdout.encode() == kept
    request = Path("held.tsq").read_bytes()
    assert hashlib.sha256(kept).digest() in request
    done = remit(*REQUEST, "held.note", "-o", "again.tsq", "--hash", "sha512", "--json")
    assert done.code == 0
    assert done.json["digest"] == "sha512:" + hashlib.sha512(kept).hexdigest()
    assert hashlib.sha512(kept).digest() in Path("again.tsq").read_bytes()
    assert not Path("again.note").exists()


def test_a_later_request_does_not_replace_the_note_of_an_earlier_one(remit: Any, desk: None) -> None:
    note, request = Path("held.note").read_bytes(), Path("held.tsq").read_bytes()
    assert remit("run", "desk", "please pay", *ANA).code == 0
    done = remit(*REQUEST, *STORE, "-o", "held.tsq")
    assert done.code == 2
    assert "`held.note` is another checkpoint" in done.stderr
    assert (Path("held.note").read_bytes(), Path("held.tsq").read_bytes()) == (note, request)


def test_a_response_shows_when_the_checkpoint_existed_and_by_whose_word(
    remit: Any, authority: OpensslAuthority
) -> None:
    done = remit(*VERIFY, "held.note", "held.tsr", "--authority", "root.pem", "--json")
    assert done.code == 0
    said = done.json
    assert (said["holds"], said["authority"], said["accuracy_us"]) == (True, "CN=Test signer", 1_500_000)
    assert said["size"] == remit("ledger", "verify", *STORE, "--json").json["size"]
    shown = remit(*VERIFY, "held.note", "held.tsr", "--authority", "root.pem")
    assert f"{said['size']} records existed at {said['at']}" in shown.stdout


def test_openssl_agrees_about_request_and_response(authority: OpensslAuthority) -> None:
    given = ("-in", "held.tsr", "-data", "held.note", "-CAfile", "root.pem")
    for question in (given, ("-in", "held.tsr", "-queryfile", "held.tsq", "-CAfile", "root.pem")):
        done = subprocess.run(["openssl", "ts", "-verify", *question], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_another_checkpoint_another_authority_and_a_refusal_are_findings_with_their_reason(
    remit: Any, authority: OpensslAuthority, tmp_path: Path
) -> None:
    assert remit("run", "desk", "please pay", *ANA).code == 0
    assert remit("ledger", "checkpoint", *STORE, "-o", "later.note").code == 0
    Path("other.pem").write_bytes(open_authority(tmp_path / "elsewhere").certificate)
    Path("refused.tsr").write_bytes(authority.refuse())
    for note, response, root, reason in (
        ("later.note", "held.tsr", "root.pem", "it is about other bytes"),
        ("held.note", "held.tsr", "other.pem", "no given authority vouches for its signer"),
        ("held.note", "refused.tsr", "root.pem", "the authority did not grant it: rejected"),
    ):
        done = remit(*VERIFY, note, response, "--authority", root)
        assert done.code == 1
        assert f"✗ timestamp does not hold: {reason}" in done.stdout
        told = remit(*VERIFY, note, response, "--authority", root, "--json")
        assert (told.code, told.json["holds"]) == (1, False)
        assert told.json["message"].startswith(reason)


def test_no_changed_byte_of_what_is_signed_goes_unseen(remit: Any, authority: OpensslAuthority) -> None:
    response = Path("held.tsr").read_bytes()
    digest = hashlib.sha256(Path("held.note").read_bytes()).digest()
    start = response.index(digest)
    # The imprint, and after it number, time and accuracy.
    for place in range(start, start + len(digest) + 30):
        Path("changed.tsr").write_bytes(
            response[:place] + bytes([response[place] ^ 1]) + response[place + 1 :]
        )
        assert remit(*VERIFY, "held.note", "changed.tsr", "--authority", "root.pem").code in (1, 2)
    Path("changed.tsr").write_bytes(response[:-1] + bytes([response[-1] ^ 1]))
    done = remit(*VERIFY, "held.note", "changed.tsr", "--authority", "root.pem")
    assert done.code == 1
    assert "its signature does not verify" in done.stdout


def test_what_cannot_be_read_is_bad_input(remit: Any, authority: OpensslAuthority) -> None:
    Path("text.note").write_text("no checkpoint\n")
    for note, response, root in (
        ("text.note", "held.tsr", "root.pem"),
        ("held.tsr", "held.tsr", "root.pem"),
        ("none.note", "held.tsr", "root.pem"),
        ("held.note", "held.note", "root.pem"),
        ("held.note", "none.tsr", "root.pem"),
        ("held.note", "held.tsr", "held.note"),
        ("held.note", "held.tsr", "none.pem"),
    ):
        done = remit(*VERIFY, note, response, "--authority", root)
        assert (done.code, done.stdout) == (2, ""), (note, response, root)
    assert remit(*VERIFY, "held.note", "held.tsr").code == 2


def test_a_request_never_overwrites_what_it_asks_about(remit: Any, desk: None) -> None:
    note = Path("held.note").read_bytes()
    for output in ("held.note", ""):
        assert remit(*REQUEST, "held.note", "-o", output).code == 2
    assert Path("held.note").read_bytes() == note


def test_without_the_package_the_verb_says_what_to_install(
    remit: Any, desk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    done = remit(*REQUEST, "held.note", "-o", "more.tsq")
    assert done.code == 2
    assert "install `remit[timestamp]`" in done.stderr
    assert not Path("more.tsq").exists()


EVIDENCE = ("evidence", "export", *STORE, "--checkpoint", "held.note")


def test_a_bundle_carries_timestamps_and_the_verifier_brings_the_authority(
    remit: Any, authority: OpensslAuthority, tmp_path: Path
) -> None:
    assert remit("run", "desk", "please pay", *ANA).code == 0
    assert remit(*EVIDENCE, "--timestamp", "held.tsr", "-o", "desk.zip").code == 0
    check = ("evidence", "verify", "desk.zip", "--key", "desk/.remit/log.pub")
    unasked = remit(*check, "--json")
    assert (unasked.code, unasked.json["timestamps"]) == (0, [])
    assert any("1 timestamps were not checked" in remark for remark in unasked.json["remarks"])
    done = remit(*check, "--authority", "root.pem", "--json")
    assert done.code == 0
    [time] = done.json["timestamps"]
    held = remit(*VERIFY, "held.note", "held.tsr", "--authority", "root.pem", "--json").json
    assert time == {
        "checkpoint": f"checkpoints/{held['size']}.note",
        "at": held["at"],
        "authority": held["authority"],
    }
    assert f"existed at {held['at']}" in remit(*check, "--authority", "root.pem").stdout
    Path("other.pem").write_bytes(open_authority(tmp_path / "elsewhere").certificate)
    other = remit(*check, "--authority", "other.pem")
    assert other.code == 1
    assert "shows no time: no given authority vouches" in other.stdout
    assert remit(*check, "--authority", "held.note").code == 2


def test_a_bundle_takes_no_timestamp_of_another_checkpoint_and_lacks_none_that_is_asked_for(
    remit: Any, authority: OpensslAuthority
) -> None:
    assert remit("run", "desk", "please pay", *ANA).code == 0
    refused = remit("evidence", "export", *STORE, "--timestamp", "held.tsr", "-o", "desk.zip")
    assert refused.code == 2
    assert "about none of the checkpoints here" in refused.stderr
    assert not Path("desk.zip").exists()
    assert remit(*EVIDENCE, "-o", "desk.zip").code == 0
    done = remit("evidence", "verify", "desk.zip", "--authority", "root.pem")
    assert done.code == 1
    assert "no timestamp is in the bundle" in done.stdout
