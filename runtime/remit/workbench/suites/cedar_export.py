"""Suites for `cedar run-tests`: policies, schema and tests that the Cedar command line runs.

Rules
1. Every test is decided by Cedar itself, under the written policies and schema, before it is written; what
   does not hold there is left out, with the reason.
2. What Cedar has no word for is narrowed: `awaiting_approval` is a deny by the rules that wait, `rules` are a
   part of the determining policies, expected errors are their number.
3. An agent's request is written whole, as the engine would be given it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from remit.engine.ingress import Reads, Walk
from remit.engine.request import NAMESPACE
from remit.engine.schema import resolve_schema
from remit.errors import PolicyError
from remit.workbench.suites.cedar_world import CedarWorld
from remit.workbench.suites.model import Case, CedarQuestion, CedarRef, CedarSubject
from remit.workbench.suites.running import compare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.engine.image import PolicyImage
    from remit.engine.request import Entity, Request
    from remit.workbench.suites.binding import Bound
    from remit.workbench.suites.model import Expectation

_WHOLE = Reads(whole=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written of one suite.

    Args:
        suite: its name.
        folder: where it was written.
        tests: how many.
        left_out: names of cases that were not, with the reason.
        command: options for `cedar run-tests`.
    """

    suite: str
    folder: Path
    tests: int
    left_out: tuple[tuple[str, str], ...]
    command: str

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        left: list[JsonValue] = [{"name": name, "reason": reason} for name, reason in self.left_out]
        return {
            "suite": self.suite,
            "folder": self.folder.as_posix(),
            "tests": self.tests,
            "left_out": left,
            "command": self.command,
        }


def export_suite(bound: Bound, folder: Path) -> Exported:
    """Write one suite into a new folder of its own below `folder`.

    Raises:
        PolicyError: Cedar does not take the policies or the schema as they were written.
        OSError: a file cannot be written.
    """
    suite = bound.suite
    place = folder / Path(suite.file).name.partition(".")[0]
    number = 1
    while place.exists():
        number += 1
        place = place.with_name(f"{place.name.partition('~')[0]}~{number}")
    place.mkdir(parents=True)
    schema = _write_policies(bound, place)
    world = CedarWorld(
        CedarSubject(policies=(place / "policies.cedar",), schema=schema, entities=(), validate=None)
    )
    tests: list[JsonValue] = []
    left_out: list[tuple[str, str]] = []
    for case in suite.cases:
        test = (
            _test(case, bound, world) if isinstance(case, Case) and not case.skip else _no_request(case.skip)
        )
        if isinstance(test, str):
            left_out.append((case.name, test))
        else:
            tests.append(test)
    (place / "tests.json").write_text(
        json.dumps(tests, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    options = f"--policies {place.as_posix()}/policies.cedar --tests {place.as_posix()}/tests.json"
    if schema is not None:
        options += f" --schema {schema.as_posix()}" + (
            " --schema-format json" if schema.suffix == ".json" else ""
        )
    return Exported(
        suite=suite.name, folder=place, tests=len(tests), left_out=tuple(left_out), command=options
    )


def _no_request(skip: str) -> str:
    return f"it is skipped: {skip}" if skip else "a whole run is no single request"


def _write_policies(bound: Bound, place: Path) -> Path | None:
    world = bound.world
    if isinstance(world, CedarWorld):
        (place / "policies.cedar").write_text(world.text, encoding="utf-8")
        if world.subject.schema is None:
            return None
        schema = place / ("schema.json" if world.subject.schema.suffix == ".json" else "schema.cedarschema")
        schema.write_bytes(world.subject.schema.read_bytes())
        return schema
    (place / "policies.cedar").write_text(world.image.policies, encoding="utf-8")
    schema = place / "schema.cedarschema"
    schema.write_text(world.image.schema_text, encoding="utf-8")
    return schema


def _test(case: Case, bound: Bound, world: CedarWorld) -> JsonObject | str:
    """Return one test, or why it cannot be one."""
    if isinstance(bound.world, CedarWorld):
        question = cast("CedarQuestion", case.question)
        own = {str(item.get("uid")): item for item in (*bound.world.subject.entities, *question.entities)}
        asked = CedarQuestion(
            principal=question.principal,
            action=question.action,
            resource=question.resource,
            context=question.context,
            entities=tuple(own.values()),
        )
    else:
        made = agent_question(bound.requests[case.name], bound.world.image)
        if isinstance(made, str):
            return made
        asked = made
    try:
        verdict = world.decide(asked)
    except PolicyError as error:
        return str(error)
    expect = _narrowed(case.expect)
    differences = compare(expect, verdict)
    if differences:
        return "; ".join(f"Cedar alone says otherwise: {difference}" for difference in differences)
    context = asked.context
    reasons: list[JsonValue] = [*(expect.rules or ())]
    entities: list[JsonValue] = [*asked.entities]
    return {
        "name": case.name,
        "request": {
            "principal": str(asked.principal),
            "action": str(asked.action),
            "resource": str(asked.resource),
            "context": context,
        },
        "entities": entities,
        "decision": expect.decision,
        "reason": reasons,
        "num_errors": expect.error_count or 0,
    }


def _narrowed(expect: Expectation) -> Expectation:
    """Apply rule 2."""
    from dataclasses import replace

    count = expect.error_count if expect.error_count is not None else len(expect.errors)
    return replace(
        expect,
        decision="allow" if expect.decision == "allow" else "deny",
        exact=False,
        kind="",
        errors=(),
        error_count=count,
        approve=None,
        redact_arguments=None,
        redact_result=None,
    )


def agent_question(request: Request, image: PolicyImage) -> CedarQuestion | str:
    """Return an agent's request in Cedar's own terms, or why Cedar cannot be asked."""
    types = resolve_schema(image.schema)
    action = types.actions.get(request.action)
    if action is None:
        return f"the action `{request.action}` is not in the schema"
    walk = Walk(types.entities)
    for entity, what in _entities(request):
        walk.entity(entity, what, _WHOLE)
    context = walk.context(request.context, action.context, _WHOLE)
    entities = walk.table()
    if walk.faults:
        return "; ".join(walk.faults)
    return CedarQuestion(
        principal=_ref(request.principal),
        action=CedarRef(type=f"{NAMESPACE}::Action", id=request.action),
        resource=_ref(request.resource),
        context=context,
        entities=tuple(entities),
    )


def _entities(request: Request) -> Iterator[tuple[Entity, str]]:
    yield request.principal, "principal"
    yield request.resource, "resource"
    for entity in request.entities:
        yield entity, str(entity.ref)


def _ref(entity: Entity) -> CedarRef:
    return CedarRef(type=f"{NAMESPACE}::{entity.ref.type}", id=entity.ref.id)
