"""The benchmark's neutral workload: what is measured beside other libraries must decide alike here."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "benchmarks"))

from peers import catalogue, floor_peer, remit_cedar_peer, remit_compiled_peer, report  # noqa: E402  # found in benchmarks/
from peers.environments import HERE  # noqa: E402  # likewise
from peers.findings import Findings, Measured, Samples  # noqa: E402  # likewise
from peers.oracle import Oracle  # noqa: E402  # likewise
from peers.workload import broken_requests, make_requests, make_workload  # noqa: E402  # likewise

REQUESTS = 2000
SIZES = (5, 50)


def _compiled_exists() -> bool:
    try:
        return importlib.util.find_spec("remit.engine.compiled.engine") is not None
    except ModuleNotFoundError:
        return False


MODULES = [
    pytest.param(floor_peer, id="floor"),
    pytest.param(remit_cedar_peer, id="cedar"),
    pytest.param(
        remit_compiled_peer,
        id="compiled",
        marks=pytest.mark.skipif(not _compiled_exists(), reason="this checkout has no compiled engine"),
    ),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("module", MODULES)
def test_every_engine_of_ours_decides_the_workload_as_it_defines_itself(module: object, size: int) -> None:
    workload, requests = make_workload(size), make_requests(size, REQUESTS)
    oracle, loaded = Oracle(workload), module.load(workload)
    expected = [oracle.decide(asked) for asked in requests]
    assert expected == [loaded.answer(asked) for asked in requests]
    assert REQUESTS // 10 < sum(expected) < REQUESTS * 9 // 10


@pytest.mark.parametrize("module", MODULES[1:])
def test_our_engines_deny_where_the_argument_that_a_forbid_reads_is_spoilt(module: object) -> None:
    workload, requests = broken_requests()
    without_the_forbid = module.load(replace(workload, rules=workload.rules[:1]))
    assert without_the_forbid.answer(requests["whole"])
    loaded = module.load(workload)
    assert dict.fromkeys(requests, False) == {what: loaded.answer(asked) for what, asked in requests.items()}


def test_the_workload_is_the_same_each_time_and_a_longer_list_begins_with_the_shorter_one() -> None:
    assert make_workload(500) == make_workload(500)
    assert make_requests(50, 100) == make_requests(50, 200)[:100]
    counts = [len(make_workload(size).rules) for size in (5, 50, 500, 5000)]
    assert counts == [5, 50, 500, 5000]
    assert all(5 <= len(asked.input) <= 8 for asked in make_requests(500, 500))


def test_every_peer_has_a_module_and_pinned_hashed_requirements() -> None:
    for entry in catalogue.PEERS:
        assert (HERE / f"{entry.name}_peer.py").is_file()
        if not entry.packages:
            continue
        text = (HERE / f"{entry.environment}.txt").read_text(encoding="utf-8")
        pinned = [line for line in text.splitlines() if "==" in line]
        assert pinned
        assert text.count("--hash=sha256:") >= len(pinned)


def test_a_page_without_the_markers_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# nothing here\n", encoding="utf-8")
    with pytest.raises(ValueError, match="needs one line"):
        report.check_page(page)
    with pytest.raises(ValueError, match="cannot be read"):
        report.check_page(tmp_path / "other.md")
    assert page.read_text(encoding="utf-8") == "# nothing here\n"


def test_the_result_replaces_only_what_is_between_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    report.check_page(page)
    report.write_page(page, "new")
    assert f"before\n{report.BEGIN}\n\nnew\n{report.END}\nafter\n" == page.read_text(encoding="utf-8")
    assert [page] == list(tmp_path.iterdir())


def test_a_ratio_is_of_medians_and_its_spread_is_of_turns_that_both_took() -> None:
    base, other = Samples(), Samples()
    for number, (first, second) in enumerate(((100, 50), (200, 100), (100, 60), (100, 40))):
        base.add(number, [first] * 3, [1])
        other.add(number, [second] * 3, [1])
    base.add(9, [100], [1])
    assert other.ratio(base) == pytest.approx(0.55)
    assert other.spread(base) == (0.5, 0.6)
    found = [
        Measured(
            entry=next(entry for entry in catalogue.PEERS if entry.name == name),
            size=5,
            compared=10,
            load_s=0.1,
            resident_mb=20,
            samples=samples,
        )
        for name, samples in (("cedarpy", base), ("vakt", other))
    ]
    findings = Findings(
        command="make bench-peers",
        machine="a machine",
        sizes=(5,),
        rounds=5,
        versions={},
        spoilt={},
        measured=tuple(found),
        left_out=(),
    )
    assert "| vakt | 0.55 (0.5–0.6) |" in report.markdown(findings, "picture.svg")
