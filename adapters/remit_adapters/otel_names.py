"""Names that spans and metrics share, as one release of the semantic conventions has them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

SCOPE = "remit"
"""Instrumentation scope of every span and metric."""

SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.0"
"""The release whose GenAI names are used.

All of them have the status development, and a later repository renames some: see decision 0016.
"""

PROVIDERS = {
    "aws": "aws.bedrock",
    "azure": "azure.ai.openai",
    "google": "gcp.gen_ai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""Well-known values of `gen_ai.provider.name` for providers that documents call otherwise."""

TOKEN_BUCKETS = tuple(float(4**power) for power in range(14))
"""Boundaries that the conventions recommend for `gen_ai.client.token.usage`: 1, 4, … 67108864 tokens."""

DURATION_BUCKETS_S = tuple(0.01 * 2**power for power in range(14))
"""Boundaries that the conventions recommend for `gen_ai.client.operation.duration`: 0.01 … 81.92 s."""

FAST_BUCKETS_S = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)
"""Boundaries for decisions and commits, which take from a part of a millisecond to the ledger's timeout."""


def version() -> str:
    """Return the installed version of Remit, the version of the instrumentation scope."""
    try:
        return installed_version("remit")
    except PackageNotFoundError:
        return "0"
