"""The permit as an attacker sees it."""

from __future__ import annotations

import copy
import dataclasses
import os
import pickle
import subprocess
import sys
import threading
from typing import Any

import pytest
from msgspec.structs import force_setattr

from remit import permit as permits
from remit.errors import PermitError
from remit.permit import Permit, redeem, void


def minted(**changes: Any) -> Permit:
    given: dict[str, Any] = {
        "effect": "call_tool",
        "target": "pay",
        "digest": "sha256:aa",
        "decision": "sha256:dd",
    }
    return permits.mint(**(given | changes))  # noqa: TID251  # the permit itself is under test


def use(permit: object, *, target: str = "pay", digest: str = "sha256:aa") -> Permit:
    return redeem(permit, effect="call_tool", target=target, digest=digest)


def refused(permit: object, **given: str) -> str:
    with pytest.raises(PermitError) as caught:
        use(permit, **given)
    return str(caught.value)


def test_a_permit_works_once() -> None:
    permit = minted()
    assert use(permit) == permit
    assert "already used" in refused(permit)


@pytest.mark.parametrize(
    "clone", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p)), dataclasses.replace]
)
def test_a_copy_is_the_same_permit(clone: Any) -> None:
    permit = minted()
    twin = clone(permit)
    use(twin)
    assert "already used" in refused(permit)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("effect", "dispatch"),
        ("target", "wire"),
        ("digest", "sha256:bb"),
        ("decision", "sha256:ee"),
        ("expires_at_s", 1e12),
        ("seal", b"\0" * 32),
    ],
)
def test_a_changed_permit_is_refused_and_spent(field: str, value: Any) -> None:
    permit = minted()
    changed = dataclasses.replace(permit, **{field: value})
    with pytest.raises(PermitError):
        redeem(changed, effect=changed.effect, target=changed.target, digest=changed.digest)
    assert "already used" in refused(permit)


def test_a_permit_changed_in_place_is_refused() -> None:
    permit = minted()
    force_setattr(permit, "digest", "sha256:bb")
    assert "seal" in refused(permit, digest="sha256:bb")


def test_a_permit_for_other_content_target_or_effect_is_refused_and_spent() -> None:
    for given in ({"digest": "sha256:bb"}, {"target": "wire"}):
        permit = minted()
        refused(permit, **given)
        assert "already used" in refused(permit)
    permit = minted()
    with pytest.raises(PermitError, match="allows `call_tool`"):
        redeem(permit, effect="dispatch", target="pay", digest="sha256:aa")


def test_no_permit_is_a_refusal() -> None:
    for nothing in (None, "permit", {"id": "x"}, object()):
        assert "ask the gate first" in refused(nothing)


def test_a_typed_in_permit_is_refused() -> None:
    forged = Permit(
        id="0" * 32,
        effect="call_tool",
        target="pay",
        digest="sha256:aa",
        decision="sha256:dd",
        expires_at_s=1e12,
        seal=b"",
    )
    assert "never minted" in refused(forged)


def test_a_subclass_is_no_permit() -> None:
    class Loose(Permit, frozen=True, kw_only=True):
        pass

    real = minted()
    fields = {field.name: getattr(real, field.name) for field in dataclasses.fields(real)}
    assert "ask the gate first" in refused(Loose(**fields))


def test_an_object_that_claims_to_be_a_permit_is_none() -> None:
    real = minted()

    class Liar:
        __class__ = Permit

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    assert isinstance(Liar(), Permit)
    assert "ask the gate first" in refused(Liar())


def test_a_field_with_its_own_idea_of_equality_is_refused() -> None:
    class Agreeable(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = str.__hash__

    permit = minted()
    force_setattr(permit, "digest", Agreeable(permit.digest))
    assert "values that no permit" in refused(permit, digest="sha256:bb")


def test_an_expired_permit_is_refused_and_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    permit = minted(lifetime_s=10.0)
    now = permits.time.monotonic()
    monkeypatch.setattr(permits.time, "monotonic", lambda: now + 11.0)
    assert "expired" in refused(permit)
    monkeypatch.undo()
    assert "already used" in refused(permit)


@pytest.mark.parametrize("lifetime_s", [0.0, -1.0, float("inf"), float("nan")])
def test_a_permit_that_never_expires_is_not_minted(lifetime_s: float) -> None:
    with pytest.raises(PermitError, match="must expire"):
        minted(lifetime_s=lifetime_s)


@pytest.mark.parametrize("field", ["target", "digest", "decision"])
def test_a_permit_bound_to_nothing_is_not_minted(field: str) -> None:
    with pytest.raises(PermitError, match="bound to a target"):
        minted(**{field: ""})


def test_a_void_permit_is_refused() -> None:
    permit = minted()
    void(permit)
    assert "already used" in refused(permit)


def test_text_that_has_no_ascii_or_utf8_form_is_refused_and_not_a_crash() -> None:
    permit = minted(target="pä\ud800")
    refused(permit, target="pay")
    permit = minted(digest="ä")
    refused(permit, digest="ö\ud800")


def test_fields_cannot_be_moved_over_their_borders() -> None:
    permit = minted(target="a", digest="b\x00c")
    moved = dataclasses.replace(permit, target="a\x00b", digest="c")
    assert "seal" in refused(moved, target="a\x00b", digest="c")


def test_of_racing_threads_one_redeems() -> None:
    for _ in range(50):
        permit = minted()
        barrier = threading.Barrier(8)
        won: list[int] = []

        def race(
            number: int, permit: Permit = permit, barrier: threading.Barrier = barrier, won: list[int] = won
        ) -> None:
            barrier.wait()
            try:
                use(permit)
            except PermitError:
                return
            won.append(number)

        threads = [threading.Thread(target=race, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_cannot_use_its_parents_permit_and_the_parent_still_can() -> None:
    script = """
import os, sys
from remit import permit as p
from remit.errors import PermitError
permit = p.mint(effect="call_tool", target="pay", digest="d", decision="x")
p._REGISTER.lock.acquire()   # as if another thread were redeeming at this moment
child = os.fork()
if child == 0:
    try:
        p.redeem(permit, effect="call_tool", target="pay", digest="d")
    except PermitError:
        own = p.mint(effect="call_tool", target="pay", digest="d", decision="x")
        p.redeem(own, effect="call_tool", target="pay", digest="d")
        os._exit(7)
    os._exit(1)
p._REGISTER.lock.release()
_, status = os.waitpid(child, 0)
p.redeem(permit, effect="call_tool", target="pay", digest="d")
sys.exit(os.waitstatus_to_exitcode(status))
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=60, check=False)
    assert done.returncode == 7


def test_a_permit_does_not_travel_to_another_process() -> None:
    permit = minted()
    script = """
import pickle, sys
from remit.errors import PermitError
from remit.permit import redeem
try:
    redeem(pickle.loads(sys.stdin.buffer.read()), effect="call_tool", target="pay", digest="sha256:aa")
except PermitError:
    sys.exit(7)
"""
    done = subprocess.run([sys.executable, "-c", script], input=pickle.dumps(permit), timeout=60, check=False)
    assert done.returncode == 7


def test_permits_that_nobody_used_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    start = permits.time.monotonic()
    for _ in range(1200):
        minted(lifetime_s=1.0)
    monkeypatch.setattr(permits.time, "monotonic", lambda: start + 1000.0)
    use(minted())
    assert len(permits._REGISTER.live) < 1100


def test_what_is_kept_for_expiry_stays_in_step_with_live_permits() -> None:
    for _ in range(5000):
        use(minted())
    assert len(permits._REGISTER.expiries) < 4096


def test_a_permit_with_a_long_life_does_not_keep_expired_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    start = permits.time.monotonic()
    lasting = minted(lifetime_s=100_000.0)
    for _ in range(1200):
        minted(lifetime_s=1.0)
    monkeypatch.setattr(permits.time, "monotonic", lambda: start + 1000.0)
    use(minted())
    assert len(permits._REGISTER.live) < 1100
    use(lasting)
