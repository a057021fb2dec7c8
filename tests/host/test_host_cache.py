"""An unchanged image loads from the store's cache; whatever lies there, the decisions are the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from host_support import ANN, REFUND, agent, call, refund, runtime, say, tool

from remit.document.parse import serialize_document
from remit.engine.checked import CheckedEngine
from remit.engine.compiled.program import ProgramWriter
from remit.host import engines
from remit.policy import compile as policy_compile
from remit.ports import Stop

if TYPE_CHECKING:
    from remit import Runtime
    from remit.document.model import Document

HERE = Path(__file__).parent


def document(amount: int = 10, *, because: str = "small refunds are fine") -> Document:
    small = {"id": "small", "effect": "permit", "when": "context.input.amount < 500", "because": because}
    large = {
        "id": "large",
        "effect": "forbid",
        "on": ["refund"],
        "when": "context.input.amount > 400",
        "because": "large ones are not",
        "obligations": [{"approve": {"by": "risk-officer"}}, {"redact": {"arguments": ["iban"]}}],
    }
    return agent(
        call("refund", order=1, amount=amount),
        say("done"),
        tools=[tool("refund", REFUND, rules=[small])],
        rules=[large],
    )


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what makes this process forget its engines, as a new process has none."""

    def forgotten() -> None:
        monkeypatch.setattr(engines, "_IMAGES", engines._Kept())
        monkeypatch.setattr(engines, "_PREPARED", engines._Kept())

    forgotten()
    return forgotten


def steps(opened: Runtime) -> Any:
    return [(step.action, step.verdict, step.kind, step.rules) for step in opened.run("x", caller=ANN).steps]


def entries(folder: Path) -> dict[str, Path]:
    """Return the cache's files by what they hold."""
    found = {}
    for file in (folder / "store" / "cache").iterdir():
        found["image" if b"remit/1/kept-image" in file.read_bytes() else "engine"] = file
    return found


def test_a_second_process_neither_compiles_nor_proves_again(
    tmp_path: Path, forget: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = document()
    with runtime(made, tmp_path, tools=(refund,)) as opened:
        wanted, status, image = steps(opened), opened.engine, opened._agent.compiled.image
        opened.store.close()
    assert entries(tmp_path).keys() == {"image", "engine"}
    forget()

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("compiled or proven again")

    monkeypatch.setattr(policy_compile, "compile_governance", never)
    monkeypatch.setattr(ProgramWriter, "write", never)
    monkeypatch.setattr(CheckedEngine, "_prove", never)
    with runtime(made, tmp_path, tools=(refund,)) as opened:
        assert opened.engine == status
        assert opened._agent.compiled.image == image
        assert steps(opened) == wanted
        used = {r.value["body"]["engine"] for r in opened.store.records() if r.value["kind"] == "decision"}
        assert used == {"compiled 1"}
        opened.store.close()


def test_cedar_alone_loads_from_what_the_compiled_engine_kept(tmp_path: Path, forget: Any) -> None:
    made = document(450)
    with runtime(made, tmp_path, tools=(refund,)) as opened:
        wanted = steps(opened)
        opened.store.close()
    forget()
    with runtime(made, tmp_path, tools=(refund,), engine="cedar") as opened:
        assert opened.engine.startswith("cedar ")
        assert steps(opened) == wanted
        opened.store.close()


@pytest.mark.parametrize("which", ["image", "engine"])
def test_a_changed_entry_is_never_used_and_is_written_anew(tmp_path: Path, forget: Any, which: str) -> None:
    made = document(450)
    with runtime(made, tmp_path, tools=(refund,)) as opened:
        wanted = steps(opened)
        opened.store.close()
    file = entries(tmp_path)[which]
    right = file.read_bytes()
    for place in range(0, len(right), len(right) // 12):
        file.write_bytes(right[:place] + bytes([right[place] ^ 0x20]) + right[place + 1 :])
        changed = file.read_bytes()
        forget()
        with runtime(made, tmp_path, tools=(refund,)) as opened:
            assert opened.engine.startswith("compiled 1: ")
            assert steps(opened) == wanted
            opened.store.close()
        assert file.read_bytes() != changed, place
    file.write_bytes(right[: len(right) // 2])
    forget()
    with runtime(made, tmp_path, tools=(refund,)) as opened:
        assert steps(opened) == wanted
        assert opened.store.cache is not None
        opened.store.close()
    assert len(file.read_bytes()) > len(right) // 2


def test_what_the_owner_sealed_of_another_image_is_not_taken_for_this_one(
    tmp_path: Path, forget: Any
) -> None:
    other, made = document(because="another rule"), document(450)
    with runtime(other, tmp_path / "a", tools=(refund,)) as opened:
        image = opened._agent.compiled.image
        cache = opened.store.cache
        assert cache is not None
        foreign = cache.kept(engines.engine_name(image.digest))
        assert foreign
        opened.store.close()
    with runtime(made, tmp_path / "b", tools=(refund,)) as opened:
        wanted, right = steps(opened), opened._agent.compiled.image
        cache = opened.store.cache
        cache.keep(engines.engine_name(right.digest), foreign)
        opened.store.close()
    forget()
    with runtime(made, tmp_path / "b", tools=(refund,)) as opened:
        assert opened._agent.compiled.image.digest == right.digest
        assert steps(opened) == wanted
        opened.store.close()


def test_a_program_that_was_changed_uses_nothing_of_the_older_one(
    tmp_path: Path, forget: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = document()
    with runtime(made, tmp_path, tools=(refund,)) as opened:
        opened.store.close()
    older = set((tmp_path / "store" / "cache").iterdir())
    monkeypatch.setattr(engines, "program_digest", lambda: "of a newer program")
    forget()
    with runtime(made, tmp_path, tools=(refund,)) as opened:
        opened.store.close()
    assert len(set((tmp_path / "store" / "cache").iterdir()) - older) == 2
    monkeypatch.setattr(engines, "program_digest", lambda: "")
    forget()
    with runtime(made, tmp_path / "unknown", tools=(refund,)) as opened:
        assert steps(opened)
        opened.store.close()
    assert not (tmp_path / "unknown" / "store" / "cache").exists()


def test_a_cache_that_cannot_be_used_fails_no_open(tmp_path: Path, forget: Any) -> None:
    made = document(450)
    with runtime(made, tmp_path / "a", tools=(refund,)) as opened:
        wanted = steps(opened)
        opened.store.close()
    forget()
    (tmp_path / "b" / "store").mkdir(parents=True)
    (tmp_path / "b" / "store" / "cache").write_bytes(b"a file in its place")
    with runtime(made, tmp_path / "b", tools=(refund,)) as opened:
        assert steps(opened) == wanted
        opened.store.close()


def test_an_image_that_differed_is_dropped_and_not_loaded_under_its_order(
    tmp_path: Path, forget: Any
) -> None:
    made = document()
    with runtime(made, tmp_path, tools=(refund,)) as opened:
        image = opened._agent.compiled.image
        order = Stop(
            scope=engines.scope_of_image(image.digest), order="kill", by="remit", reason="x", at="2026-01-01"
        )
        opened.store.control.stop(order)
        opened.store.close()
    forget()
    with runtime(made, tmp_path, tools=(refund,)) as opened:
        assert opened.engine.startswith("cedar ")
        opened.store.close()


OPENING = """
import sys
from pathlib import Path
from remit import Caller, Runtime
from host_support import refund
ann = Caller(id="ann", roles=("clerk",), attributes={"jurisdiction": "EU"})
with Runtime.open(Path(sys.argv[1]), store=sys.argv[2], tools=(refund,)) as opened:
    print([step.verdict for step in opened.run("x", caller=ann).steps])
"""


def test_several_processes_open_one_store_at_once_and_all_decide_alike(tmp_path: Path) -> None:
    file = tmp_path / "refund.agent.json"
    file.write_bytes(serialize_document(document(because="from several processes")))
    command = [sys.executable, "-c", OPENING, str(file), str(tmp_path / "store")]
    said = set()
    for _ in range(2):
        running = [
            subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        for process in running:
            out, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
            said.add(out)
    assert len(said) == 1
