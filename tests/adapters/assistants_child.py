"""One governed run on an Assistants v2 server, in a process that a test may kill.

    assistants_child.py STORE BASE_URL [KILL_AT]

With KILL_AT = N the process kills itself right after the N-th commit of its ledger, with -N right before it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remit import Caller, Runtime
from remit.document.revision import genesis
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from remit.ports import Batch

ANN = Caller(id="ann", roles=("clerk",), attributes={})
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"order": {"type": "integer"}, "amount": {"type": "integer"}},
    "required": ["order"],
    "additionalProperties": False,
}


def order_status(order: int, amount: int = 0) -> dict[str, str]:
    """Say how an order stands."""
    return {"order": str(order), "status": "paid", "amount": str(amount)}


def refund(order: int, amount: int = 0) -> dict[str, str]:
    """Refund an order."""
    return {"refunded": str(amount), "order": str(order)}


def document(base_url: str, **config: Any) -> Any:
    return genesis(
        {
            "memory": {"blocks": []},
            "governance": {
                "attributes": {"jurisdiction": "EU", "risk_tier": "limited", "owner": "refunds-team"},
                "activation": [{"id": "clerks", "when": 'principal.roles.contains("clerk")'}],
                "mutation": [],
                "termination": [],
            },
            "capabilities": {
                "instructions": "You refund orders.",
                "tools": [
                    {
                        "name": name,
                        "description": f"The tool {name}.",
                        "parameters": PARAMETERS,
                        "effect": "write",
                        "source": {"python": f"tools:{name}"},
                        "rules": [rule],
                    }
                    for name, rule in (
                        ("order_status", {"id": "status-permitted", "effect": "permit"}),
                        (
                            "refund",
                            {"id": "no-refunds", "effect": "forbid", "because": "refunds are closed"},
                        ),
                    )
                ],
                "backends": [
                    {
                        "name": "assistant",
                        "adapter": "openai-assistants",
                        "provider": "local",
                        "region": "EU",
                        "model": "local-default",
                        "config": {"base_url": base_url, "max_retries": 0, "timeout_s": 30, **config},
                    }
                ],
                "dispatch": [{"id": "models", "because": "models may be used"}],
            },
            "execution_state": {"lifecycle": "ready", "usage": {}, "pending": []},
        },
        nonce="cd" * 16,
    )


class KillingStore:
    """A real store that ends its process at one of its commits."""

    def __init__(self, store: Any, kill_at: int) -> None:
        self._store = store
        self._kill_at = kill_at
        self.commits = 0

    def submit(self, batch: Batch) -> Any:
        self.commits += 1
        if -self.commits == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        future = self._store.submit(batch)
        if self.commits == self._kill_at:
            future.result()
            os.kill(os.getpid(), signal.SIGKILL)
        return future

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def main() -> None:
    store = KillingStore(open_store(Path(sys.argv[1])), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    with Runtime.open(document(sys.argv[2]), store=store, tools=(order_status, refund)) as runtime:
        result = runtime.run("How is order 7? Refund it.", caller=ANN)
    sys.stdout.write(f"{result.status} {store.commits}\n")


if __name__ == "__main__":
    main()
