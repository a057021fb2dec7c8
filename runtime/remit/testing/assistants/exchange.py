"""What happens to a request between its arrival and its answer, without HTTP.

Rules
1. Every request to the API is received, judged (where `truth` is on) and logged, also one that is refused.
2. `before …` a test may stop the world: nothing has happened yet. `after …` everything has, and nobody knows.
3. A dropped answer is not sent, but all else happens.
"""

from __future__ import annotations

import copy
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, urlsplit

from remit.testing.assistants.bodies import check_body
from remit.testing.assistants.faults import WireFault
from remit.testing.assistants.multipart import Form, read_form
from remit.testing.assistants.operations import Call, Raw, RunStream, World
from remit.testing.assistants.routes import OPERATIONS, Route, find_route

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remit.document.values import JsonObject, JsonValue
    from remit.testing.wire_truth import Violation, WireTruth

OPENAI, AZURE = "/v1", "/openai"
_BETA = ("/assistants", "/threads", "/vector_stores")


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it arrived.

    Args:
        method: HTTP method.
        path: with its base, without the query.
        query: query parameters; of a repeated one the last.
        headers: by name in lower case.
        body: the JSON object, or the bytes where it is none.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: JsonObject | bytes

    @property
    def base(self) -> str:
        """Which API it is addressed to: `/v1`, `/openai`, or neither."""
        return next((base for base in (OPENAI, AZURE) if self.path.startswith(base + "/")), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """One request that was dealt with.

    Args:
        operation: method and path as the description writes them; as they came where it knows none.
        path: with its base and ids.
        status: HTTP status; 0 where nothing was answered.
    """

    operation: str
    path: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """An answer that is not a stream.

    Args:
        status: HTTP status.
        value: what it is, for the judge.
        data: its bytes.
        content_type: header.
        location: header, where not empty.
        cut: whether only half of it is sent.
    """

    status: int
    value: JsonValue
    data: bytes
    content_type: str = "application/json"
    location: str = ""
    cut: bool = False


class Exchange:
    """See the module's docstring.

    Args:
        world: what operations act on.
        judge: looks at everything that passes; None looks away.
        api_key: the only key that is let in; empty lets in any.
    """

    def __init__(self, world: World, *, judge: WireTruth | None, api_key: str) -> None:
        self.world = world
        self.on_step: Callable[[str], None] | None = None
        self.drop: set[str] = set()
        self._judge = judge
        self._api_key = api_key
        self._lock = threading.Lock()
        self._received: list[Received] = []
        self._handled: list[Handled] = []
        self._violations: list[Violation] = []

    @property
    def received(self) -> tuple[Received, ...]:
        """Every request so far."""
        with self._lock:
            return tuple(self._received)

    @property
    def handled(self) -> tuple[Handled, ...]:
        """Every request that was dealt with so far, in the order of its end."""
        with self._lock:
            return tuple(self._handled)

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Everything that the judge found so far."""
        with self._lock:
            return tuple(self._violations)

    def receive(self, received: Received) -> None:
        """Note and judge a request."""
        query = {name: value for name, value in received.query.items() if name != "api-version"}
        with self._lock:
            self._received.append(received)
            if self._judge is not None:
                self._violations += self._judge.request(
                    method=received.method,
                    path=received.path,
                    query=query,
                    headers=received.headers,
                    body=received.body,
                    base=received.base,
                )

    def step(self, name: str) -> None:
        """Tell the test that something is about to happen, or has happened.

        Raises:
            CutConnectionError: the test wants the connection cut here.
        """
        if self.on_step is not None:
            self.on_step(name)

    def route(self, received: Received) -> Route:
        """Find the operation.

        Raises:
            WireFault: 404 or 405, there is none.
        """
        if not received.base:
            raise WireFault(404, f"Invalid URL: {received.method} {received.path}.")
        return find_route(received.method, received.path.removeprefix(received.base))

    def answer(self, received: Received, route: Route) -> Whole | RunStream:
        """Do what is asked.

        Raises:
            WireFault: it is refused.
        """
        self._admit(received, route)
        body, form = _content(received, route)
        check_body(route.operation, body)
        call = Call(ids=route.ids, query=received.query, body=body, form=form)
        with self.world.store.changed:
            self.world.engine.expire_due()
            answer = OPERATIONS[route.operation](self.world, call)
            if isinstance(answer, RunStream):
                return answer
            if isinstance(answer, Raw):
                text = answer.data.decode("utf-8", "replace")
                kind, cut = answer.content_type, answer.cut
                return Whole(status=200, value=text, data=answer.data, content_type=kind, cut=cut)
            return whole_json(200, copy.deepcopy(answer))

    def judge_response(self, received: Received, whole: Whole) -> None:
        """Judge an answer that is not a stream; half an answer is none."""
        if self._judge is not None and not whole.cut:
            with self._lock:
                self._violations += self._judge.response(
                    method=received.method,
                    path=received.path,
                    status=whole.status,
                    body=whole.value,
                    base=received.base,
                )

    def judge_event(self, received: Received, name: str, data: JsonValue) -> None:
        """Judge an event of a stream."""
        if self._judge is not None:
            with self._lock:
                self._violations += self._judge.event(
                    method=received.method, path=received.path, name=name, data=data, base=received.base
                )

    def handle(self, received: Received, operation: str, status: int) -> None:
        """Log a request that was dealt with."""
        with self._lock:
            self._handled.append(Handled(operation=operation, path=received.path, status=status))

    def inspect(self, path: str) -> JsonValue:
        """Answer a path outside the API, which is no traffic.

        Raises:
            WireFault: 404.
        """
        if path == "/_objects":
            return {kind: [*ids] for kind, ids in self.world.store.objects().items()}
        if path == "/_violations":
            return [str(each) for each in self.violations]
        if path == "/_log":
            return [
                {"operation": each.operation, "path": each.path, "status": each.status}
                for each in self.handled
            ]
        raise WireFault(404, f"Invalid URL: {path}; there are /_objects, /_violations and /_log.")

    def _admit(self, received: Received, route: Route) -> None:
        headers = received.headers
        scheme, _, key = headers.get("authorization", "").partition(" ")
        key = key if scheme.lower() == "bearer" else ""
        if received.base == AZURE:
            key = headers.get("api-key", "") or key
            if "api-version" not in received.query:
                raise WireFault(400, "Missing required query parameter: 'api-version'.", param="api-version")
        if not key or (self._api_key and key != self._api_key):
            raise WireFault(401, "No API key was given, or not the right one.", code="invalid_api_key")
        pattern = route.operation.split(" ")[1]
        asked = [each.strip() for each in headers.get("openai-beta", "").split(",")]
        if pattern.startswith(_BETA) and "assistants=v2" not in asked:
            raise WireFault(
                400, "The header 'OpenAI-Beta: assistants=v2' is needed here.", code="invalid_beta"
            )


def whole_json(status: int, value: JsonValue, *, location: str = "") -> Whole:
    """Return an answer with a JSON value."""
    return Whole(status=status, value=value, data=json.dumps(value).encode(), location=location)


def read_request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Received:
    """Return a request as it arrived; a body that is no JSON object stays bytes."""
    url = urlsplit(target)
    read: JsonObject | bytes = body
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if isinstance(value, dict):
        read = cast("JsonObject", value)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return Received(method=method, path=url.path, query=query, headers=headers, body=read)


def _content(received: Received, route: Route) -> tuple[JsonObject, Form | None]:
    if isinstance(received.body, dict):
        if route.operation == "POST /files":
            raise WireFault(400, "Invalid body: a multipart form was expected.")
        return received.body, None
    if route.operation == "POST /files":
        form = read_form(received.body, received.headers.get("content-type", ""))
        return {**form.fields}, form
    if received.body.strip():
        raise WireFault(400, "The body is not a JSON object.")
    return {}, None
