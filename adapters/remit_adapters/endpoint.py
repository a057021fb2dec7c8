"""A vendor's endpoint: where requests go, with which key, at what price, and how its failures are told.

Config members that every back-end over HTTP has
    base_url                   where requests go; required, so that the document says where content is sent
    api_key_env                environment variable that holds the key; none where the server needs none
    proxy                      address of a proxy on the way; none unless it is named here
    timeout_s                  longest silence of the server in seconds (default 120)
    max_retries                attempts after the first, with the package's back-off (default 2, at most 5)
    input_microusd_per_mtok    price of a million input tokens, in millionths of a US dollar (default 0)
    output_microusd_per_mtok   the same for output

Rules
1. Content goes to `base_url` and nowhere else (`transport`).
2. The key appears in no message and no event.
3. Whatever a package or its transport raises becomes one `AdapterError` that says what to do.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from remit.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from remit.document.model import BackendEntry
    from remit.ports import BackendContext
    from remit_adapters.config import ConfigReader

T = TypeVar("T")
MEMBERS = (
    "base_url",
    "api_key_env",
    "proxy",
    "timeout_s",
    "max_retries",
    "input_microusd_per_mtok",
    "output_microusd_per_mtok",
)
NO_KEY = "none"
_MTOK = 1_000_000
_MAX_REASON = 300
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TIMEOUT, _TOO_MANY = 401, 403, 404, 408, 429
_REFUSED, _SERVER_ERROR = 400, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorKinds:
    """How a package's errors are told apart.

    Args:
        timeout: nothing came in time.
        connection: the server cannot be reached.
        status: `(HTTP status, the server's words)` of an error that is an answer, else None.
    """

    timeout: type[Exception]
    connection: type[Exception]
    status: Callable[[Exception], tuple[int, str] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint as a document's config names it; members as in the module's docstring.

    Args:
        backend: the document's name of the back-end, for messages.
        model: the model, for messages.
        path_hint: what `base_url` should look like, for the message about a 404.
    """

    backend: str
    model: str
    base_url: str
    api_key_env: str
    api_key: str
    timeout_s: float
    max_retries: int
    input_microusd_per_mtok: int
    output_microusd_per_mtok: int
    path_hint: str
    proxy: str = ""

    def cost_microusd(self, *, input_tokens: int, output_tokens: int) -> int:
        """Return what a call costs by the declared prices, in millionths of a US dollar, rounded up."""
        millionths = (
            input_tokens * self.input_microusd_per_mtok + output_tokens * self.output_microusd_per_mtok
        )
        return -(-millionths // _MTOK)

    async def paced(self, stream: AsyncIterator[T]) -> AsyncGenerator[T]:
        """Yield what `stream` yields, unless it is silent for longer than `timeout_s`.

        A server that keeps the connection open with empty lines is silent too, although its transport is not.

        Raises:
            TimeoutError: nothing came in time.
        """
        iterator = aiter(stream)
        while True:
            try:
                async with asyncio.timeout(self.timeout_s):
                    item = await anext(iterator)
            except StopAsyncIteration:
                return
            yield item

    def failure(self, error: Exception, kinds: ErrorKinds) -> AdapterError:
        """Return what `error` amounts to, with what to do about it."""
        where = f"back-end `{self.backend}` at `{self.base_url}`"
        if isinstance(error.__cause__, AdapterError):
            return error.__cause__
        if isinstance(error, (TimeoutError, kinds.timeout)):
            return AdapterError(
                f"{where} did not answer within {self.timeout_s:g} s; raise `timeout_s` or try again",
                retryable=True,
            )
        answered = kinds.status(error)
        if answered is not None:
            return self.refusal(*answered)
        if isinstance(error, kinds.connection):
            cause = self.safe(str(error.__cause__ or error))
            return AdapterError(
                f"{where} cannot be reached: {cause}; is the server running, and is `base_url` right?",
                retryable=True,
            )
        reason = self.safe(str(error) or type(error).__name__)
        return AdapterError(f"{where} broke off: {reason}", retryable=True)

    def refusal(self, status: int, words: str) -> AdapterError:
        """Return what an HTTP status other than success amounts to.

        Args:
            status: the HTTP status.
            words: what the server said.
        """
        said = f"back-end `{self.backend}` at `{self.base_url}` answered {status}: {self.safe(words)}"
        if status in (_UNAUTHORIZED, _FORBIDDEN):
            way = (
                f"check the key in `{self.api_key_env}`"
                if self.api_key_env
                else "name the variable that holds the key in `api_key_env`"
            )
            return AdapterError(f"{said}; {way}")
        if status == _NOT_FOUND:
            return AdapterError(
                f"{said}; check `model` (`{self.model}`) and that `base_url` {self.path_hint}"
            )
        if status == _TOO_MANY:
            return AdapterError(f"{said}; wait, or ask the provider for a higher limit", retryable=True)
        if status == _TIMEOUT or status >= _SERVER_ERROR:
            return AdapterError(f"{said}; try again later", retryable=True)
        if status < _REFUSED:
            return AdapterError(f"{said}; redirects are not followed: put the final address into `base_url`")
        return AdapterError(said)

    def safe(self, text: str) -> str:
        """Cut a server's words to a line, without the key."""
        text = " ".join(text.split())
        if self.api_key not in ("", NO_KEY):
            text = text.replace(self.api_key, "***")
        return text[:_MAX_REASON].rstrip(".")


def read_endpoint(
    config: ConfigReader,
    entry: BackendEntry,
    context: BackendContext,
    *,
    path_hint: str,
    why_base_url: str = "",
) -> Endpoint:
    """Read the members that every back-end over HTTP has.

    Args:
        config: the reader of the entry's config.
        entry: the document's declaration.
        context: gives the environment.
        path_hint: what `base_url` should look like, such as "ends in `/v1`".
        why_base_url: said where `base_url` is missing.

    Raises:
        AdapterError: a member is not acceptable, or the key's variable is not set.
    """
    if why_base_url and "base_url" not in config.value:
        raise config.error("base_url", f"is required: {why_base_url}")
    base_url = _address(config, "base_url")
    api_key_env = config.text("api_key_env", default="")
    api_key = context.environment.get(api_key_env, "") if api_key_env else NO_KEY
    if not api_key:
        raise config.error("api_key_env", f"the environment variable `{api_key_env}` is not set")
    if not api_key.isascii() or not api_key.isprintable() or api_key != api_key.strip():
        raise config.error("api_key_env", f"the environment variable `{api_key_env}` holds no usable key")
    return Endpoint(
        backend=entry.name,
        model=entry.model,
        base_url=base_url,
        api_key_env=api_key_env,
        api_key=api_key,
        proxy=_address(config, "proxy") if "proxy" in config.value else "",
        timeout_s=config.number("timeout_s", minimum=0.1, maximum=3600.0, default=120.0),
        max_retries=config.integer("max_retries", minimum=0, maximum=5, default=2),
        input_microusd_per_mtok=config.integer("input_microusd_per_mtok", default=0),
        output_microusd_per_mtok=config.integer("output_microusd_per_mtok", default=0),
        path_hint=path_hint,
    )


def _address(config: ConfigReader, member: str) -> str:
    text = config.text(member)
    try:
        parts = urlsplit(text)
        acceptable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise config.error(member, f"`{text}` is no address: {error}") from error
    if not acceptable:
        raise config.error(member, f"`{text}` is not an http or https address")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise config.error(member, "holds more than an address; secrets belong to `api_key_env`")
    return text
