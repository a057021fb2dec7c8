"""The engine: requests, decisions, the policy image and the reference engine; no input or output, no clock."""
