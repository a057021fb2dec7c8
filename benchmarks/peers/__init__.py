"""One workload of agent-governance requests, decided by Remit and by what else a Python user would choose.

`workload` is data; one module per peer translates it (`<name>_peer.py`); `worker` runs one peer in its own
environment; `runner` takes turns among the workers; `report` writes what was found.

Nothing here but a peer's own module imports anything outside the standard library, so that a worker's
environment holds the peer alone.
"""
