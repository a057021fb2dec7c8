"""`remit compile --stats`: which engine decides, why, and what loading it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from remit.host.engines import scope_of_image
from remit.ports import Stop
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

DEEP = (
    '@id("deep-one")\nforbid(principal, action, resource) when { ' + "!(" * 60 + "true" + ")" * 60 + " };\n"
)


def test_the_stats_say_which_engine_decides_and_how_long_it_takes_to_load(
    remit: Any, project: Callable[..., Path]
) -> None:
    project()
    stats = remit("compile", "desk", "--stats", "--json").json["stats"]
    engine = stats["engine"]
    assert engine["name"] == "compiled 1"
    assert engine["status"].startswith("compiled 1: decides ")
    assert engine["probes"] > 500
    assert engine["not_compiled"] == []
    assert 0 < engine["cached_load_s"] < engine["load_s"]
    assert stats["actions"]["pay"] > stats["actions"]["amend"] > 0


def test_what_is_not_compiled_is_named_with_the_rule_and_the_reason(
    remit: Any, project: Callable[..., Path]
) -> None:
    project()
    Path("desk/rules/deep.cedar").write_text(DEEP)
    done = remit("compile", "desk", "--stats", "--json")
    assert done.code == 0, done.stderr
    engine = done.json["stats"]["engine"]
    assert engine["name"].startswith("cedar ")
    (reason,) = engine["not_compiled"]
    assert reason.startswith("policy `deep-one` nests ")
    assert engine["probes"] == 0
    assert f"  not compiled: {reason}\n" in remit("compile", "desk", "--stats").stdout


def test_an_order_in_the_store_against_compiled_policies_is_shown(
    remit: Any, project: Callable[..., Path]
) -> None:
    project()
    image = remit("compile", "desk", "--json").json["image"]
    with open_store(Path("desk/.remit")) as store:
        store.control.stop(
            Stop(scope=scope_of_image(image), order="kill", by="remit", reason="it differed", at="2026-01-01")
        )
    engine = remit("compile", "desk", "--stats", "--json").json["stats"]["engine"]
    assert engine["name"].startswith("cedar ")
    assert engine["status"].endswith("by order of remit since 2026-01-01: it differed")
    assert remit("compile", "desk", "--stats", "--store", "elsewhere").stdout.count("compiled 1: ") == 1
