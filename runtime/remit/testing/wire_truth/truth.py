"""The judge: what crosses a wire against what the vendor describes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from remit.testing.wire_truth.checking import Checker, Flaw
from remit.testing.wire_truth.descriptions import VENDORS, Description, Vendor, read_description
from remit.testing.wire_truth.discovery import with_json_names
from remit.testing.wire_truth.multipart import read_multipart
from remit.testing.wire_truth.texts import typed
from remit.testing.wire_truth.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from remit.document.values import JsonValue
    from remit.testing.wire_truth.operations import Operation

_JSON = "application/json"
_ERROR, _REDIRECT = 400, 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One thing to judge."""

    operation: str
    side: str

    def violation(self, pointer: str, message: str) -> Violation:
        return Violation(operation=self.operation, side=self.side, pointer=pointer, message=message)

    def violations(self, flaws: tuple[Flaw, ...], prefix: str = "") -> tuple[Violation, ...]:
        return tuple(self.violation(prefix + flaw.pointer, flaw.message) for flaw in flaws)


class WireTruth:
    """One vendor's description as a judge; the package's docstring has the rules.

    Args:
        description: read by `of`, once per process.
    """

    def __init__(self, description: Description) -> None:
        self._description = description
        self._checker = Checker(description.schemas)

    @classmethod
    def of(cls, vendor: Vendor) -> WireTruth:
        """Return the judge of a vendor; the first call reads the description, in one to two seconds.

        Raises:
            ImportError: the packages of `remit[wire-truth]` are not installed.
            ValueError: no such vendor.
        """
        if vendor not in VENDORS:
            raise ValueError(f"no description of `{vendor}`; there are {', '.join(VENDORS)}")
        return _of(vendor)

    def request(
        self,
        *,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: JsonValue | bytes,
        base: str = "",
    ) -> tuple[Violation, ...]:
        """Return what is wrong with a request.

        Args:
            method: HTTP method.
            path: without query.
            query: the last value of each name.
            headers: names in any case.
            body: the JSON value, or the bytes as sent, such as multipart; None or empty where there is none.
            base: prefix of `path` that the description leaves out.
        """
        beta = query.get("beta") == "true"
        operation = self._find(method, path, base, beta=beta)
        if operation is None:
            return (self._unknown(method, path, "request"),)
        case = _Case(operation=operation.name, side="request")
        given = {name.lower(): value for name, value in headers.items()}
        return (
            *_header_violations(case, operation, given),
            *self._query_violations(case, operation, query),
            *self._body_violations(case, operation, given.get("content-type", ""), body),
        )

    def response(
        self, *, method: str, path: str, status: int, body: JsonValue, base: str = ""
    ) -> tuple[Violation, ...]:
        """Return what is wrong with a response that is no stream.

        Args:
            method: HTTP method of the request.
            path: of the request; `?beta=true` behind it names the beta form.
            status: HTTP status.
            body: the JSON value; None where there is none.
            base: prefix of `path` that the description leaves out.
        """
        path, _, query = path.partition("?")
        operation = self._find(method, path, base, beta=query == "beta=true")
        if status >= _ERROR:
            name = f"{method} {path}" if operation is None else operation.name
            case = _Case(operation=name, side="response")
            return case.violations(self._checker.check(body, self._description.error))
        if operation is None:
            return (self._unknown(method, path, "response"),)
        case = _Case(operation=operation.name, side="response")
        if status >= _REDIRECT:
            return ()
        answers = operation.answers
        code = next((code for code in (str(status), f"{status // 100}XX") if code in answers), "")
        if not code:
            return (case.violation("", f"status {status} is not described"),)
        schema = answers[code]
        if schema is None:
            return () if body in (None, "", {}) else (case.violation("", "no body is described"),)
        if operation.many and isinstance(body, list):
            return tuple(
                violation
                for index, item in enumerate(body)
                for violation in case.violations(self._checker.check(item, schema), f"/{index}")
            )
        return case.violations(self._checker.check(body, schema))

    def event(
        self, *, method: str, path: str, name: str, data: JsonValue | str, base: str = ""
    ) -> tuple[Violation, ...]:
        """Return what is wrong with one server-sent event.

        Args:
            method: HTTP method of the request.
            path: of the request; `?beta=true` behind it names the beta form.
            name: the event's `event` line; empty where it has none.
            data: the JSON value, or the text where it is no JSON.
            base: prefix of `path` that the description leaves out.
        """
        path, _, query = path.partition("?")
        operation = self._find(method, path, base, beta=query == "beta=true")
        if operation is None:
            return (self._unknown(method, path, "event"),)
        case = _Case(operation=operation.name, side="event")
        events = operation.events
        if events is None:
            return (case.violation("", "the operation has no stream"),)
        if events.texts.get(name) == data:
            return ()
        if events.by_name:
            if name not in events.by_name:
                return (case.violation("", f"the event `{name}` is not described"),)
            return case.violations(self._checker.check(data, events.by_name[name]))
        if not events.by_type:
            named = (case.violation("", f"events have no names here, and this is `{name}`"),) if name else ()
            return named + case.violations(self._checker.check(data, events.plain))
        said = data.get("type") if isinstance(data, dict) else None
        if not isinstance(said, str) or said not in events.by_type:
            return (case.violation("", f"the event `{said or name}` is not described"),)
        misnamed = f"the event is named `{name}`, and its data says `{said}`"
        named = () if name == said else (case.violation("/type", misnamed),)
        return named + case.violations(self._checker.check(data, events.by_type[said]))

    def _find(self, method: str, path: str, base: str, *, beta: bool) -> Operation | None:
        root = self._description.root
        paths = [path] if root else []
        if path.startswith(base):
            # A base may or may not hold the version that the description's own paths begin with.
            paths = [path[len(base) :], root + path[len(base) :]]
        for candidate in paths:
            found = self._description.operations.find(method.upper(), candidate.rstrip("/"), beta=beta)
            if found is not None:
                return found
        return None

    def _unknown(self, method: str, path: str, side: str) -> Violation:
        vendor = self._description.vendor
        case = _Case(operation=f"{method.upper()} {path}", side=side)
        return case.violation("", f"the description of `{vendor}` has no such operation")

    def _query_violations(
        self, case: _Case, operation: Operation, query: Mapping[str, str]
    ) -> Iterator[Violation]:
        known = {parameter.name: parameter for parameter in operation.query}
        for name, parameter in known.items():
            if parameter.required and name not in query:
                yield case.violation(f"query/{name}", f"`{name}` is missing")
        for name, value in query.items():
            # Clients write arrays and objects with brackets, whether they are described with them or not.
            names = (name, name.removesuffix("[]"), name + "[]", name.partition("[")[0])
            found = next((known[form] for form in names if form in known), None)
            if found is not None:
                text = typed(self._description.schemas, found.schema, value)
                yield from case.violations(self._checker.check(text, found.schema), f"query/{name}")
            elif name not in self._description.query and not (operation.beta and name == "beta"):
                yield case.violation(f"query/{name}", f"`{name}` is not described here")

    def _body_violations(
        self, case: _Case, operation: Operation, content_type: str, body: JsonValue | bytes
    ) -> tuple[Violation, ...]:
        if operation.media:
            return ()
        if body in (None, b"") or (not operation.bodies and body == {}):
            return (case.violation("", "the body is missing"),) if operation.body_required else ()
        if not operation.bodies:
            return (case.violation("", "no body is described"),)
        media = content_type.partition(";")[0].strip().lower() or _JSON
        if media not in operation.bodies:
            listed = ", ".join(f"`{known}`" for known in operation.bodies)
            return (case.violation("header/content-type", f"`{media}` is not one of {listed}"),)
        schema = operation.bodies[media]
        value: JsonValue
        if not isinstance(body, bytes):
            value = body
        elif media.startswith("multipart/"):
            parts = read_multipart(body, content_type)
            if isinstance(parts, str):
                return (case.violation("", parts),)
            value = typed(self._description.schemas, schema, parts)
        else:
            try:
                value = cast("JsonValue", json.loads(body))
            except ValueError:
                return (case.violation("", "the body is no JSON"),)
        if self._description.vendor == "gemini":
            value = with_json_names(self._description.schemas, schema, value)
        return case.violations(self._checker.check(value, schema))


def _header_violations(case: _Case, operation: Operation, headers: Mapping[str, str]) -> Iterator[Violation]:
    for name, wanted in operation.headers.items():
        if not headers.get(name):
            shown = f"{name}: {wanted}" if wanted else name
            yield case.violation(f"header/{name}", f"the header `{shown}` is missing")
        elif wanted and wanted not in headers[name].split(","):
            yield case.violation(f"header/{name}", f"the header is `{headers[name]}` and not `{wanted}`")


@lru_cache(maxsize=len(VENDORS))
def _of(vendor: Vendor) -> WireTruth:
    return WireTruth(read_description(vendor))
