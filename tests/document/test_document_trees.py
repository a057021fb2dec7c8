"""Merkle trees of logs and of memory."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from remit.document.memory_tree import EMPTY_ROOT, MemoryTree, verify_way
from remit.document.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

keys = st.binary(min_size=1, max_size=3).map(lambda seed: hashlib.sha256(seed).digest())


def test_roots_equal_those_of_an_independent_implementation() -> None:
    oracle = InmemoryTree(algorithm="sha256")
    frontier = Frontier()
    for index in range(70):
        oracle.append_entry(bytes([index]))
        frontier = frontier.append(leaf_hash(bytes([index])))
        assert frontier.root() == oracle.get_root()


def test_every_proof_of_small_logs_verifies_and_no_other_leaf_does() -> None:
    leaves = [leaf_hash(bytes([index])) for index in range(20)]
    for size in range(1, 21):
        root = root_of(leaves[:size])
        for index in range(size):
            proof = inclusion_proof(leaves, index, size)
            assert verify_inclusion(leaf=leaves[index], index=index, size=size, proof=proof, root=root)
            assert (
                not verify_inclusion(leaf=leaves[index - 1], index=index, size=size, proof=proof, root=root)
                or size == 1
            )
        for old in range(1, size + 1):
            proof = consistency_proof(leaves, old, size)
            old_root = root_of(leaves[:old])
            assert verify_consistency(
                old_size=old, new_size=size, old_root=old_root, new_root=root, proof=proof
            )
            assert not verify_consistency(
                old_size=old, new_size=size, old_root=b"\0" * 32, new_root=root, proof=proof
            )


@settings(deadline=None)
@given(st.lists(st.tuples(keys, st.booleans()), max_size=40))
def test_the_memory_tree_depends_on_its_content_alone(steps: list[tuple[bytes, bool]]) -> None:
    tree: MemoryTree[bytes] = MemoryTree()
    model: dict[bytes, bytes] = {}
    for key, keep in steps:
        if keep:
            tree, model[key] = tree.put(key, key, key), key
        elif key in model:
            tree = tree.delete(key)
            del model[key]
    built: MemoryTree[bytes] = MemoryTree.build((key, key, key) for key in model)
    assert tree.root == built.root
    assert list(tree) == sorted(model)
    for key, _ in steps:
        assert verify_way(tree.root, key, tree.way(key)) is (key in model)
    if not model:
        assert tree.root == EMPTY_ROOT
