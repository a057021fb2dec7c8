"""The gate: authorize, record, permit; obligations, approvals and usage counters."""
