"""The `openai` package as all of our OpenAI back-ends use it: one client, one way to tell its failures.

Config members beside those of `endpoint`
    api_version   present for Azure-style endpoints: it goes into each query, the key into the header
                  `api-key`, and `base_url` ends in `/openai`; absent for OpenAI's own style, where `base_url`
                  ends in `/v1`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit_adapters.endpoint import MEMBERS as ENDPOINT_MEMBERS
from remit_adapters.endpoint import ErrorKinds, read_endpoint
from remit_adapters.transport import http_client

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

    from remit.document.model import BackendEntry
    from remit.ports import BackendContext
    from remit_adapters.config import ConfigReader
    from remit_adapters.endpoint import Endpoint

MEMBERS = (*ENDPOINT_MEMBERS, "api_version")


def openai_endpoint(
    config: ConfigReader, entry: BackendEntry, context: BackendContext, *, why_base_url: str = ""
) -> tuple[Endpoint, str]:
    """Read the endpoint and the API version, empty for OpenAI's own style.

    Args:
        config: the reader of the entry's config.
        entry: the document's declaration.
        context: gives the environment.
        why_base_url: said where `base_url` is missing.

    Raises:
        AdapterError: a member is not acceptable.
    """
    api_version = config.text("api_version", default="")
    hint = "ends in `/openai`" if api_version else "ends in `/v1`"
    endpoint = read_endpoint(config, entry, context, path_hint=hint, why_base_url=why_base_url)
    return endpoint, api_version


def openai_client(endpoint: Endpoint, *, api_version: str) -> AsyncOpenAI:
    """Return a client of the endpoint; nothing is sent by making one.

    Raises:
        ImportError: `openai` is not installed.
    """
    import openai

    transport = http_client(endpoint)
    client: AsyncOpenAI
    if api_version:
        client = openai.AsyncAzureOpenAI(
            api_key=endpoint.api_key,
            base_url=endpoint.base_url,
            api_version=api_version,
            timeout=endpoint.timeout_s,
            max_retries=endpoint.max_retries,
            http_client=transport,
        )
    else:
        client = openai.AsyncOpenAI(
            api_key=endpoint.api_key,
            base_url=endpoint.base_url,
            timeout=endpoint.timeout_s,
            max_retries=endpoint.max_retries,
            http_client=transport,
        )
    return _without_ambient(client)


def client_over(client: AsyncOpenAI, http: httpx2.AsyncClient) -> AsyncOpenAI:
    """Return a client of the same endpoint over another HTTP client, which repeats nothing."""
    return _without_ambient(client.copy(http_client=http, max_retries=0))


def _without_ambient(client: AsyncOpenAI) -> AsyncOpenAI:
    # INVARIANT (no ambient settings): the package reads these from the environment when not given, the last
    # one always (`OPENAI_CUSTOM_HEADERS`).
    client.organization = None
    client.project = None
    client._custom_headers = {}  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # there is no public way to keep the environment's headers out
    return client


def openai_errors() -> ErrorKinds:
    """Return how the package's errors are told apart.

    Raises:
        ImportError: `openai` is not installed.
    """
    import openai

    def status(error: Exception) -> tuple[int, str] | None:
        return (error.status_code, error.message) if isinstance(error, openai.APIStatusError) else None

    return ErrorKinds(timeout=openai.APITimeoutError, connection=openai.APIConnectionError, status=status)
