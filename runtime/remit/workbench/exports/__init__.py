"""The decision log in formats that other programs read: JSON lines, OCSF, OPA decision logs."""
