"""The engine: requests, decisions, the policy image, the reference engine; no input or output."""
