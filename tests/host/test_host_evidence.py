"""What the runtime records is enough to repeat decisions under rules that are no longer in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from host_support import ANN, agent, notes_block, runtime

from remit import Caller
from remit.workbench.evidence.check import check_evidence
from remit.workbench.evidence.collect import Wanted, export_evidence
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from pathlib import Path

LEGAL = Caller(id="lea", roles=("legal",), attributes={"jurisdiction": "EU"})
AMEND = {
    "id": "legal-amends",
    "on": ["amend"],
    "effect": "permit",
    "when": 'principal is Remit::Caller && principal.roles.contains("legal")',
    "because": "legal writes the rules",
}


def closed(version: int) -> dict[str, Any]:
    return {
        "id": f"closed-{version}",
        "on": ["recall"],
        "effect": "forbid",
        "when": "true" if version % 2 else "context.usage.turns < 0",
        "because": f"version {version}",
    }


def test_decisions_under_rules_that_were_amended_are_decided_again_from_what_the_amendment_kept(
    tmp_path: Path,
) -> None:
    opened = runtime(agent(rules=[AMEND, closed(0)], blocks=[notes_block()]), tmp_path)
    with opened:
        name = opened.document.identity.agent
        for version in range(4):
            if version:
                governance = {**opened.document.governance.value, "rules": [AMEND, closed(version)]}
                assert opened.amend(by=LEGAL, reason="newer rules", governance=governance).allowed
            assert opened.recall("notes", by=ANN).allowed == (version % 2 == 0)
    with open_store(tmp_path / "store", read_only=True) as store:
        manifest = export_evidence(store, Wanted(agent=name), tmp_path / "e.zip", stage=lambda _: None)
        held = store.verifier_key
    assert [*manifest.images.values()] == [True] * 4
    report = check_evidence(tmp_path / "e.zip", keys=[held])
    assert report.findings == ()
    assert report.decided == report.counts["decision"] == 7
    with open_store(tmp_path / "store") as store:
        moved = [r.index for r in store.records() if r.value["kind"] == "revision" and r.content is not None]
        assert len(moved) == 3
        store.erase_content(*moved, by="dpo", reason="art. 17")
    with open_store(tmp_path / "store", read_only=True) as store:
        manifest = export_evidence(store, Wanted(agent=name), tmp_path / "e.zip", stage=lambda _: None)
    assert sorted(manifest.images.values()) == [False, False, False, True]
    report = check_evidence(tmp_path / "e.zip", keys=[held])
    assert report.findings == ()
    assert report.undecided == {"its policies are not in the bundle": 6}
