"""Compiled policies against the reference engine on random schemas, policies and requests."""

from __future__ import annotations

import os

import engine_fuzz

PAIRS = int(os.environ.get("REMIT_FUZZ_N", "1200"))


def test_compiled_policies_decide_as_the_reference_engine_does_on_random_pairs() -> None:
    seen = engine_fuzz.run(20261125, PAIRS)
    # Every kind of answer must be met often, or the comparison says little.
    for kind in ("allowed", "forbidden", "not_permitted", "error", "left: fault"):
        assert seen[kind] > PAIRS // 50, seen
    # What is well formed is decided by compiled code, but for oddities such as entities given twice.
    assert seen["left: no fault"] < PAIRS // 20, seen


def test_a_run_is_repeated_by_its_seed() -> None:
    assert engine_fuzz.run(5, 64) == engine_fuzz.run(5, 64)
