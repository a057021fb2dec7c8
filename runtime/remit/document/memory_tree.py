"""Persistent Merkle Patricia tree (to be written)."""

from __future__ import annotations


class MemoryTree:
    """Placeholder replaced by the document work package."""
