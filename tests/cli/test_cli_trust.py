"""`remit verify --trust FILE` and `remit run --trust FILE`: a policy that says who signs which field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

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
