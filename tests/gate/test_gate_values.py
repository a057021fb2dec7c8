"""What an authorization passes along cannot be changed, has no room for more, and is made anew by `replace`."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import Future
from dataclasses import asdict, fields, replace
from typing import Any

import pytest

from remit.document.values import canonical
from remit.engine.request import Decision, PolicyFailure
from remit.ledger.checkpoint import Checkpoint
from remit.ledger.tree import Peaks
from remit.permit import Permit
from remit.ports import Batch, Invocation
from remit.records import Draft, Receipt, Record
from remit.value import Value
from remit_adapters.stores.turns import Job

DRAFT = Draft(kind="intent", agent="a", run="r", at="2026-01-01T00:00:00.000Z", body={"n": 1})
VALUES: list[Value] = [
    PolicyFailure(rule="r", message="m"),
    Decision(verdict="deny", kind="forbidden", reasons=("r",), errors=(), engine="e", image="i"),
    DRAFT,
    Receipt(index=1, digest="d"),
    Record(index=1, value={"n": 1}, digest="d"),
    Permit(id="i", effect="dispatch", target="t", digest="d", decision="d", expires_at_s=1.0, seal=b"s" * 32),
    Invocation(tool="t", arguments={"n": 1}, key="k"),
    Batch(records=(DRAFT,)),
    Checkpoint(origin="o", size=1, root=bytes(32)),
    Peaks(size=1, digests=(bytes(32),)),
    canonical({"n": 1}),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_cannot_be_changed_and_has_no_room_for_more(value: Any) -> None:
    for name in (*(one.name for one in fields(value)), "more"):
        with pytest.raises(AttributeError):
            setattr(value, name, "other")
        with pytest.raises(AttributeError):
            delattr(value, name)
    with pytest.raises(TypeError):
        object.__setattr__(value, fields(value)[0].name, "other")
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_is_made_anew_copied_and_sent_as_what_it_is(value: Any) -> None:
    for again in (copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert (again, repr(again), type(again)) == (value, repr(value), type(value))
    first = fields(value)[0].name
    assert [*asdict(value)] == [one.name for one in fields(value)]
    assert getattr(replace(value, **{first: "other"}), first) == "other"
    assert replace(value, **{first: "other"}) != value


def test_a_value_is_no_other_kind_of_value_with_the_same_members() -> None:
    class Reference(Value, frozen=True, kw_only=True):
        index: int
        digest: str

    mine: Any = Reference(index=1, digest="d")
    assert mine != Receipt(index=1, digest="d")
    assert (mine, hash(mine)) == (Reference(index=1, digest="d"), hash(Reference(index=1, digest="d")))


def test_a_value_without_defaults_wants_all_its_members_by_name() -> None:
    make: Any = Receipt
    for given, named in (((1, "d"), {}), ((), {"index": 1}), ((), {"index": 1, "digest": "d", "more": 1})):
        with pytest.raises(TypeError):
            make(*given, **named)


def test_a_job_has_defaults_that_are_not_shared() -> None:
    future: Future[tuple[Receipt, ...]] = Future()
    job = Job(sealed=(), batch=Batch(records=()), future=future)
    assert (job.erase, job.cut, job.subject, job.appends_only) == ((), None, None, True)
    first, second = (Record(index=n, value={}, digest="d") for n in range(2))
    first.extra["n"] = 1
    assert second.extra == {}
