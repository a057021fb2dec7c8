"""`remit verify --trust FILE` and `remit run --trust FILE`: a policy that says who signs which field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from test_cli_amend import GUARDED, OLGA, RITA, SMALLER, STORE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ANA = ("--as", "ana", "--attr", "jurisdiction=EU")
POLICY = """\
keys:
  alice: {file: alice.pub.pem}
  bob: {file: bob.pub.pem}
fields:
  governance: {keys: [alice]}
  capabilities: {keys: [bob]}
"""


@pytest.fixture
def policy(remit: Any, document: dict[str, Any], tmp_path: Path) -> str:
    assert document
    for name in ("alice", "bob"):
        assert remit("keys", "new", name).code == 0
    (tmp_path / "trust.yaml").write_text(POLICY)
    return "trust.yaml"


def test_a_field_that_nobody_allowed_has_signed_refuses_the_document(remit: Any, policy: str) -> None:
    assert remit("sign", "desk.agent.json", "--key", "alice.key.pem").code == 0
    refused = remit("verify", "desk.agent.json", "--trust", policy)
    assert (refused.code, "`capabilities` as it stands is signed by 0" in refused.stderr) == (2, True)
    run = remit("run", "desk.agent.json", "hello", *ANA, "--trust", policy)
    assert (run.code, "`capabilities`" in run.stderr) == (2, True)
    assert remit("sign", "desk.agent.json", "--key", "bob.key.pem").code == 0
    done = remit("verify", "desk.agent.json", "--trust", policy, "--json")
    assert done.json["trusted_fields"] == {"governance": ["alice"], "capabilities": ["bob"]}


def test_a_trust_policy_stands_alone(remit: Any, policy: str, project: Callable[..., Path]) -> None:
    assert project
    mixed = remit("verify", "desk.agent.json", "--trust", policy, "--trust", "alice.pub.pem")
    assert (mixed.code, "is a trust policy" in mixed.stderr) == (2, True)
    alone = remit("verify", "desk.agent.json", "--signed", "desk.agent.json")
    assert (alone.code, "`--signed` needs a trust policy" in alone.stderr) == (2, True)


@pytest.fixture
def guarded(remit: Any, project: Callable[..., Path], tmp_path: Path) -> tuple[str, ...]:
    """An agent whose signed document `signed.agent.json` was opened in its store; the options to trust it."""
    project(rules=GUARDED)
    assert remit("build", "desk", "-o", "desk/signed.agent.json").code == 0
    for name in ("alice", "bob"):
        assert remit("keys", "new", name).code == 0
        assert remit("sign", "desk/signed.agent.json", "--key", f"{name}.key.pem").code == 0
    (tmp_path / "trust.yaml").write_text(POLICY)
    done = remit("run", "desk/signed.agent.json", "hello", *ANA, "--trust", "trust.yaml", *STORE)
    assert done.code == 0, done.stderr
    project(rules=SMALLER)
    return ("--trust", "trust.yaml", "--signed", "desk/signed.agent.json")


def test_an_amendment_that_nobody_signed_is_refused_before_it_is_asked(
    remit: Any, guarded: tuple[str, ...]
) -> None:
    propose = ("amend", "--from", "desk", *OLGA, *STORE)
    refused = remit(*propose, *guarded)
    assert (refused.code, "`capabilities` as it stands is signed by 0" in refused.stderr) == (2, True)
    unsigned = remit(*propose, *guarded[:2])
    assert (unsigned.code, "is signed by 0" in unsigned.stderr) == (2, True)
    alone = remit(*propose, *guarded[2:])
    assert (alone.code, "`--signed` needs a trust policy" in alone.stderr) == (2, True)
    assert remit(*propose).code == 4


@pytest.mark.parametrize("by", ["approve", "resume"])
def test_an_approval_completes_no_amendment_that_the_policy_does_not_trust(
    by: str, remit: Any, guarded: tuple[str, ...]
) -> None:
    waiting = remit("amend", "--from", "desk", *OLGA, *STORE, "--json").json["value"]
    head = remit("ledger", "show", "--kind", "revision", *STORE, "--json").json
    if by == "approve":
        done = remit("approve", waiting["run"], *RITA, *STORE, *guarded, "--continue", "--json")
        result = done.json["result"]
    else:
        assert remit("approve", waiting["run"], *RITA, *STORE, *guarded).code == 0
        done = remit("resume", waiting["run"], *STORE, *guarded, "--json")
        result = done.json
    assert (done.code, result["status"]) == (1, "failed"), done.stdout
    assert "`capabilities` as it stands is signed by 0" in result["reason"]
    moved = remit("ledger", "show", "--kind", "revision", *STORE, "--json").json[len(head) :]
    assert "amend" not in [item["record"]["body"].get("operation") for item in moved]


def test_under_the_policy_a_refusal_ends_what_waits(remit: Any, guarded: tuple[str, ...]) -> None:
    asked = remit("amend", "--from", "desk", *OLGA, *STORE, "--json").json["value"]
    refused = remit("refuse", asked["run"], *RITA, *STORE, *guarded, "--continue", "--json")
    assert (refused.code, refused.json["result"]["status"]) == (3, "denied")
    again = ("resume", "--as", "olga:author", *OLGA[2:], *STORE)
    assert "is signed by 0" not in remit(*again, *guarded).stderr
    assert "is signed by 0" in remit(*again, *guarded[:2]).stderr
