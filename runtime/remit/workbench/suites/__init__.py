"""Suites of cases: requests and whole runs with what is expected of them, read, decided and compared."""
