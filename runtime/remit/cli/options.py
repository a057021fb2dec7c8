"""Options that several verbs share, and how their values are read."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

from remit.cli.exits import bad_input
from remit.cli.output import LOG_LEVELS, Session, start_logging
from remit.cli.telemetry import LOG_LEVEL
from remit.document.json_text import parse_json
from remit.errors import DocumentError
from remit.host.caller import Caller
from remit.project.source import escape, listing, nearest

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., object])


def common(function: Callable[Concatenate[Session, P], int]) -> Callable[..., None]:
    """Give a verb `--json`, `--debug` and `--log-level`, its session, and its exit code to click."""

    @click.option("--json", "json_output", is_flag=True, help="Write one JSON value to stdout.")
    @click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
    @click.option(
        "--log-level",
        type=click.Choice(LOG_LEVELS, case_sensitive=False),
        default="warning",
        show_default=True,
        help="Least severe log line to write to stderr.",
    )
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        level = str(kwargs.pop("log_level"))
        session = Session(json=bool(kwargs.pop("json_output")), debug=bool(kwargs.pop("debug")))
        start_logging(level.lower())
        click.get_current_context().meta[LOG_LEVEL] = level.lower()
        click.get_current_context().exit(int(function(session, *args, **kwargs)))

    return call


def example(*lines: str) -> str:
    """Return the epilog of a verb's help: its examples, kept line by line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def store_option(function: F) -> F:
    """Add `--store`."""
    return click.option(
        "--store",
        type=str,
        default=None,
        metavar="DIR",
        help="Folder or postgresql:// address of the store. Default: $REMIT_STORE, else `.remit` in the "
        "project folder or here.",
    )(function)


def fail_under_option(what: str) -> Callable[[F], F]:
    """Add `--fail-under`; `what` is the share that it bounds."""
    return click.option(
        "--fail-under",
        type=click.FloatRange(0, 100),
        default=None,
        metavar="PCT",
        help=f"Exit with 1 where {what} is less.",
    )


def person_options(function: F) -> F:
    """Add `--as`, `--role` and `--attr`."""
    function = click.option(
        "--attr",
        "attributes",
        multiple=True,
        metavar="KEY=VALUE",
        help="Attribute of the caller; repeatable.",
    )(function)
    function = click.option(
        "--role", "roles", multiple=True, metavar="ROLE", help="Role of the caller; repeatable."
    )(function)
    return click.option(
        "--as",
        "person",
        default=None,
        metavar="ID[:ROLE,ROLE]",
        help="Who acts. Default: the system's user name.",
    )(function)


def caller_from(
    person: str | None, roles: Sequence[str], attributes: Sequence[str], *, schema: JsonObject | None = None
) -> Caller:
    """Read who acts from the options of `person_options`.

    Args:
        person: `ID` or `ID:ROLE,ROLE`; None takes the system's user name.
        roles: further roles.
        attributes: `key=value` texts.
        schema: the document's caller schema, by which a value is read as text, number or truth value.
    """
    name, _, listed = (_system_user() if person is None else person).partition(":")
    if not name:
        raise bad_input(
            f"`--as {person}` names nobody", "write such as `--as ana` or `--as ana:clerk,auditor`"
        )
    held = [role for role in (*listed.split(","), *roles) if role]
    members = pairs_from(attributes, option="--attr", schema=schema)
    kind = members.pop("kind", "user")
    if kind not in {"user", "service"}:
        raise bad_input(f"`--attr kind={kind}`: a caller is a `user` or a `service`")
    return Caller(
        id=name,
        kind="service" if kind == "service" else "user",
        roles=tuple(dict.fromkeys(held)),
        attributes=members,
    )


def caller_hint(caller: Caller, reason: str, *, schema: JsonObject | None) -> str:
    """Say how to give what the caller lacks: attributes that the schema requires, else a role; may be empty.

    Args:
        caller: who acted.
        reason: why it was denied; nothing is said where another caller would not have helped.
        schema: the document's caller schema.
    """
    lacking = [name for name in required_attributes(schema) if name not in caller.attributes]
    if lacking and f".{lacking[0]}` is missing" in reason:
        flags = " ".join(f"--attr {name}=…" for name in lacking)
        return f"callers of this agent have {listing(lacking)}: say so with `{flags}`"
    if not caller.roles and reason.startswith("no rule permits"):
        return f"`{caller.id}` acted without a role: give one with `--as {caller.id}:ROLE`"
    return ""


def required_attributes(schema: JsonObject | None) -> tuple[str, ...]:
    """Return the names of the attributes that a caller schema requires."""
    required = (schema or {}).get("required")
    return tuple(str(name) for name in required) if isinstance(required, list) else ()


def attribute_options(caller: Caller, *, schema: JsonObject | None) -> tuple[str, ...]:
    """Return `--attr` options for what the schema requires, with the caller's own values."""
    pairs: list[str] = []
    for name in required_attributes(schema):
        value = caller.attributes.get(name)
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        pairs += ["--attr", f"{name}={text}"]
    return tuple(pairs)


def _system_user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "nobody"


def pairs_from(pairs: Sequence[str], *, option: str, schema: JsonObject | None = None) -> JsonObject:
    """Read repeated `key=value` options.

    A value is text, unless it reads as a JSON number, truth value, list or object and the schema does not
    declare its key to be a string.

    Args:
        pairs: the texts.
        option: the option's name, for messages.
        schema: a JSON Schema of type object, or None.
    """
    value: JsonObject = {}
    for pair in pairs:
        key, mark, text = pair.partition("=")
        if not mark or not key:
            raise bad_input(
                f"`{option} {pair}` is not `key=value`", f"write such as `{option} jurisdiction=EU`"
            )
        if key in value:
            raise bad_input(f"`{option} {key}` is given twice", "give it once")
        value[key] = text if _declared(schema, key) == "string" else value_from(text)
    return value


def environment_from(pairs: Sequence[str], *, schema: JsonObject | None) -> JsonObject:
    """Read repeated `--env key=value`; a key that the document does not declare is refused.

    Args:
        pairs: the texts.
        schema: the document's environment schema.
    """
    values = pairs_from(pairs, option="--env", schema=schema)
    properties = (schema or {}).get("properties")
    known = list(properties) if isinstance(properties, dict) else []
    for name in values:
        if name not in known:
            hint = nearest(name, known) or f"it declares {listing(known) or 'none'}"
            raise bad_input(f"the document declares no environment value `{name}`", hint)
    return values


def _declared(schema: JsonObject | None, key: str) -> str:
    properties = (schema or {}).get("properties")
    member = properties.get(key) if isinstance(properties, dict) else None
    declared = member.get("type") if isinstance(member, dict) else None
    return declared if isinstance(declared, str) else ""


def value_from(text: str) -> JsonValue:
    """Read a text as JSON, or as itself where it is none (or is null or a quoted text)."""
    try:
        value = parse_json(text.encode()).value
    except (DocumentError, UnicodeEncodeError):
        return text
    return text if isinstance(value, str) or value is None else value


def json_from(text: str, *, option: str) -> JsonObject:
    """Read an option that holds a JSON object, or `@FILE`.

    Raises:
        DocumentError: it is not strict JSON, with its position.
    """
    from pathlib import Path

    if text.startswith("@"):
        path = Path(text[1:])
        try:
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) else str(error)
            raise bad_input(f"`{option} {text}` cannot be read: {cause}") from error
        parsed = parse_json(data, file=path.as_posix())
    else:
        parsed = parse_json(text.encode("utf-8", "surrogatepass"), file=option)
    if not isinstance(parsed.value, dict):
        raise bad_input(f"`{option}` is not a JSON object", """write such as '{"amount": 20}'""")
    return parsed.value


def pointer(*parts: str) -> str:
    """Write a JSON pointer."""
    return "".join(f"/{escape(part)}" for part in parts)


def mapping_value(value: Mapping[str, int]) -> JsonObject:
    """Return counters as a JSON object."""
    return dict(value)
