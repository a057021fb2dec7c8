"""Replay: recorded requests against a candidate, and what would be decided otherwise.

`source` reads the ledger, `recorded` rebuilds requests, `judge` decides them, `changes` names and counts
what differs, `counters` keeps order where rules read counters, `work` does a range of the log,
`replay` spreads ranges over processes.
"""
