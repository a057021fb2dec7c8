"""What a crash left open is settled once, by a person who looked, and by nobody while it may still be under way."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from host_support import ANN, ORDER, REFUND, agent, call, order_status, runtime, say, tool
from test_host_stops import python

from open_intents import AGENT, AT, left_open
from remit.errors import EvaluationError
from remit.host.caller import Caller
from remit.host.unknown import SETTLEMENTS, Settled, settle_unknown, unknown_effects
from remit.ports import Batch
from remit.testing.store_contract import contract_draft

if TYPE_CHECKING:
    from pathlib import Path

    from store_places import StorePlace


def settled(store: Any, intent: str, *, happened: bool = True, by: str = "otto") -> Settled:
    return settle_unknown(
        store, intent, happened=happened, by=by, reason="the bank shows it", at=AT, lives=lambda _: False
    )


def test_a_person_settles_an_effect_once_and_the_log_says_who_found_what(store_place: StorePlace) -> None:
    with store_place.open() as store:
        first, second = left_open(store, 2)
        done = settled(store, first.removeprefix("sha256:")[:16], happened=False)
        assert (done.effect.intent, done.effect.key, done.happened) == (first, "key-0", False)
        # It is reported with it: nothing is open any more, and nothing of it can be settled again.
        assert [record.digest for record in store.unfinished()] == [second]
        kinds = [record.value["kind"] for record in store.records()]
        assert kinds == ["intent", "intent", "outcome", "control"]
        assert [one.intent for one in unknown_effects(store, lives=lambda _: False)] == [second]
        with pytest.raises(EvaluationError, match=r"is settled: `otto` found that it did not happen"):
            settled(store, first)
        record = [*store.records(run=SETTLEMENTS)][-1]
        assert record.digest == done.record
        assert record.value["body"] == {
            "operation": "unknown_settled",
            "intent": first,
            "of_run": "run-0",
            "target": "refund",
            "happened": False,
            "by": "otto",
            "reason": "the bank shows it",
        }
        assert store.verify().intact


def test_of_many_who_settle_one_effect_at_once_one_is_first(store_place: StorePlace) -> None:
    with store_place.open() as one, store_place.open() as other:
        (intent,) = left_open(one)
        done: list[Settled] = []
        refused: list[str] = []

        def work(store: Any, by: str) -> None:
            try:
                done.append(settled(store, intent, by=by))
            except EvaluationError as error:
                refused.append(str(error))

        people = [(store, f"person-{number}") for number, store in enumerate([one, other] * 3)]
        threads = [threading.Thread(target=work, args=person) for person in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert (len(done), len(refused)) == (1, 5)
        assert len([*one.records(run=SETTLEMENTS)]) == 1
        outcomes = [record for record in one.records() if record.value["kind"] == "outcome"]
        assert len(outcomes) == 1


def test_what_may_still_be_under_way_is_not_unknown(store_place: StorePlace) -> None:
    with store_place.open() as store:
        (intent,) = left_open(store)
        assert unknown_effects(store, lives=lambda run: run == "run-0") == ()
        with pytest.raises(EvaluationError, match=r"no effect of intent .* is unknown; unknown: none"):
            settle_unknown(
                store, intent, happened=True, by="otto", reason="seen", at=AT, lives=lambda _: True
            )


@pytest.mark.parametrize(
    ("intent", "by", "reason", "why"),
    [
        ("sha256:ff", "otto", "seen", "no effect of intent `sha256:ff` is unknown"),
        ("", "otto", "seen", "no effect of intent `` is unknown"),
        ("sha256:", "otto", "seen", "could be several effects"),
        ("sha256:", " ", "seen", "needs a person and a reason"),
        ("sha256:", "otto", " ", "needs a person and a reason"),
    ],
)
def test_what_cannot_be_settled_says_why_and_writes_nothing(
    store_place: StorePlace, intent: str, by: str, reason: str, why: str
) -> None:
    with store_place.open() as store:
        left_open(store, 2)
        store.submit(Batch(records=(contract_draft(agent=AGENT),))).result(30)
        size = store.size()
        with pytest.raises(EvaluationError, match=why):
            settle_unknown(store, intent, happened=True, by=by, reason=reason, at=AT, lives=lambda _: False)
        assert store.size() == size


def test_an_effect_that_a_killed_process_left_is_unknown_until_a_person_settles_it(tmp_path: Path) -> None:
    document = agent(call("refund", order=1, amount=2), say("done"))
    crashed = python(tmp_path, document, 'rt.run("x", caller=ANN)', inside="os._exit(9)")
    crashed.communicate(timeout=60)
    rt = runtime(document, tmp_path)
    (left,) = rt.unknown()
    rt.run("only talk", caller=Caller(id="nobody"))
    assert len(rt.unknown()) == 1
    looked = os.path.exists(tmp_path / "effects")  # noqa: PTH110  # a person looks at the other side
    done = rt.settle_unknown(left.intent, happened=looked, by=ANN, reason="the file shows it")
    assert (done.happened, done.effect.target) == (True, "refund")
    assert rt.unknown() == ()
    assert (tmp_path / "effects").read_text().splitlines() == ["1 2"]
    rt.store.close()


# --- calling an idempotent tool again


def died(tmp_path: Path, *, amount: int = 2, idempotent: bool = True, rules: Any = ()) -> Any:
    """Let a process die inside of a call; return its agent's document."""
    tools = [tool("order_status", ORDER), tool("refund", REFUND, idempotent=idempotent)]
    document = agent(call("refund", order=1, amount=amount), say("done"), tools=tools, rules=rules)
    process = python(tmp_path, document, 'rt.run("x", caller=ANN)', inside="os._exit(9)")
    process.communicate(timeout=60)
    assert process.returncode == 9
    return document


def crashed(tmp_path: Path, **how: Any) -> tuple[Any, list[tuple[int, int]], Any]:
    """Return a runtime after such a death, what the tool did since, and the effect."""
    document = died(tmp_path, **how)
    done: list[tuple[int, int]] = []

    def refund(order: int, amount: int, iban: str = "none") -> dict[str, Any]:
        """Refund an order."""
        if amount == 13:
            raise RuntimeError("unlucky")
        done.append((order, amount))
        return {"refunded": amount, "iban": iban}

    rt = runtime(document, tmp_path, tools=(order_status, refund))
    (left,) = rt.unknown()
    return rt, done, left


def bodies(rt: Any, kind: str) -> list[Any]:
    return [record.value["body"] for record in rt.store.records() if record.value["kind"] == kind]


def test_an_idempotent_tool_is_called_again_with_its_key_and_settles_the_effect(tmp_path: Path) -> None:
    rt, done, left = crashed(tmp_path)
    answer = rt.repeat_unknown(left.intent, by=ANN, reason="the tool knows its keys")
    assert (answer.allowed, answer.value["outcome"], done) == (True, "ok", [(1, 2)])
    first, again = (body for body in bodies(rt, "intent") if body["effect"] == "call_tool")
    assert (again["key"], again["content"]) == (first["key"], first["content"])
    assert [body["status"] for body in bodies(rt, "outcome") if body["target"] == "refund"] == [
        "ok",
        "unknown",
    ]
    (control,) = bodies(rt, "control")
    assert (control["intent"], control["happened"], control["by"]) == (left.intent, True, "ann")
    (ours,) = [record for record in rt.store.records() if record.digest == control["repeated"]]
    assert ours.value["body"] == again
    assert rt.unknown() == ()
    assert rt.store.unfinished() == ()
    states = {state.status for state in rt.store.runs() if state.run.startswith("repeat-")}
    assert states == {"completed"}
    with pytest.raises(EvaluationError, match="is settled: `ann` found that it happened"):
        rt.repeat_unknown(left.intent, by=ANN, reason="again")
    assert rt.store.verify().intact
    rt.store.close()


def test_a_tool_that_does_not_declare_it_is_never_called_again(tmp_path: Path) -> None:
    rt, done, left = crashed(tmp_path, idempotent=False)
    size = rt.store.size()
    with pytest.raises(EvaluationError, match="`refund` does not declare itself idempotent"):
        rt.repeat_unknown(left.intent, by=ANN, reason="hope")
    with pytest.raises(EvaluationError, match="needs a reason"):
        rt.repeat_unknown(left.intent, by=ANN, reason=" ")
    assert (done, rt.store.size()) == ([], size)
    rt.store.close()


def test_the_rules_decide_whether_an_effect_is_repeated_and_for_whom(tmp_path: Path) -> None:
    rule = {
        "id": "own-region",
        "effect": "forbid",
        "on": ["refund"],
        "unless": 'context.caller.roles.contains("clerk")',
        "because": "clerks refund",
    }
    rt, done, left = crashed(tmp_path, rules=[rule])
    nobody = Caller(id="eve", roles=(), attributes={"jurisdiction": "EU"})
    answer = rt.repeat_unknown(left.intent, by=nobody, reason="curious")
    assert (answer.allowed, answer.because, done) == (False, "clerks refund", [])
    assert [one.intent for one in rt.unknown()] == [left.intent]
    assert rt.repeat_unknown(left.intent, by=ANN, reason="mine").allowed
    assert (done, rt.unknown()) == ([(1, 2)], ())
    rt.store.close()


def test_a_call_that_fails_again_leaves_the_effect_unknown(tmp_path: Path) -> None:
    document = died(tmp_path, amount=13)

    def refund(order: int, amount: int, iban: str = "none") -> dict[str, Any]:
        """Refund an order."""
        raise RuntimeError(f"{order} {amount} {iban}")

    rt = runtime(document, tmp_path, tools=(order_status, refund))
    (left,) = rt.unknown()
    answer = rt.repeat_unknown(left.intent, by=ANN, reason="once more")
    assert (answer.allowed, answer.value["outcome"]) == (True, "failed")
    assert [one.intent for one in rt.unknown()] == [left.intent]
    assert bodies(rt, "control") == []
    rt.store.close()


def test_what_was_erased_cannot_be_repeated(tmp_path: Path) -> None:
    rt, done, left = crashed(tmp_path)
    index = next(record.index for record in rt.store.records() if record.digest == left.intent)
    rt.store.erase_content(index - 1, by="officer", reason="request")
    with pytest.raises(EvaluationError, match="the arguments of the effect are not there any more"):
        rt.repeat_unknown(left.intent, by=ANN, reason="the tool knows its keys")
    assert done == []
    rt.store.close()


def test_whoever_settles_while_a_call_is_repeated_counts_and_the_call_stays_recorded(tmp_path: Path) -> None:
    document = died(tmp_path)

    def refund(order: int, amount: int, iban: str = "none") -> dict[str, Any]:
        """Refund an order."""
        settled(rt.store, left.intent, happened=False)
        return {"refunded": amount, "order": order, "iban": iban}

    rt = runtime(document, tmp_path, tools=(order_status, refund))
    (left,) = rt.unknown()
    with pytest.raises(EvaluationError, match=r"repeated and is recorded as done, but meanwhile: .*`otto`"):
        rt.repeat_unknown(left.intent, by=ANN, reason="the tool knows its keys")
    assert [body["status"] for body in bodies(rt, "outcome") if body["target"] == "refund"] == [
        "unknown",
        "ok",
    ]
    (control,) = bodies(rt, "control")
    assert (control["happened"], control["by"]) == (False, "otto")
    assert rt.unknown() == ()
    rt.store.close()
