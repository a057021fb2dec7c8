"""agent-os-kernel: the shared policy evaluator, the faster of its two."""

from __future__ import annotations

from peers.shared_rules import load_shared as load

__all__ = ["load"]
