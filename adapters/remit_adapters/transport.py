"""The HTTP client that every vendor's package is given: one route, nothing ambient, bounded answers.

Rules
1. Redirects are not followed; proxies, certificates and credentials of the environment are not used.
2. A proxy is used where the document names one.
3. An answer may have `MAX_ANSWER_BYTES`; a longer one is cut off, whatever wire it speaks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    import httpx2

    from remit_adapters.endpoint import Endpoint

    Hook = Callable[..., Awaitable[None]]

MAX_ANSWER_BYTES = 64 << 20
"""Longest body of one answer, a whole stream included; the text in it is bounded further by each wire."""


def http_client(endpoint: Endpoint, *, hooks: Mapping[str, list[Hook]] | None = None) -> httpx2.AsyncClient:
    """Return the client; nothing is sent by making one.

    Args:
        endpoint: gives the proxy, and the name for messages.
        hooks: what the client calls with each request and response.

    Raises:
        ImportError: `httpx2`, which every vendor's package brings, is not installed.
    """
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        def __init__(self, stream: httpx2.AsyncByteStream) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for piece in self._stream:
                size += len(piece)
                if size > MAX_ANSWER_BYTES:
                    said = f"sent more than {MAX_ANSWER_BYTES:,} bytes in one answer"
                    raise AdapterError(f"back-end `{endpoint.backend}` {said}")
                yield piece

        async def aclose(self) -> None:
            await self._stream.aclose()

    class Transport(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            response = await super().handle_async_request(request)
            assert isinstance(response.stream, httpx2.AsyncByteStream)  # an asynchronous transport's own
            response.stream = Bounded(response.stream)
            return response

    return httpx2.AsyncClient(
        transport=Transport(trust_env=False, proxy=endpoint.proxy or None),
        timeout=endpoint.timeout_s,
        follow_redirects=False,
        trust_env=False,
        event_hooks=dict(hooks or {}),
    )
