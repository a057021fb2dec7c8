"""What a suite says, after reading: every case expanded, every fixture filled in, every position kept.

Rules
1. A case says what it expects; nothing counts as expected because it was left out, but for errors, of which
   none are.
2. A name stands for one case of its suite.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from remit.errors import Fault
from remit.policy.cedar_text import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from remit.document.values import JsonObject, JsonValue
    from remit.project.questions import Question
    from remit.project.scenes import Settlement
    from remit.project.source import Node
    from remit.workbench.transcript import Said

DECISIONS = ("allow", "deny", "awaiting_approval")
KINDS = ("allowed", "forbidden", "not_permitted", "error")
STATUSES = ("completed", "denied", "awaiting_approval", "terminated", "suspended", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something was written.

    Args:
        file: name of the file as the user would type it.
        line: 1-based.
        column: 1-based, in characters.
    """

    file: str
    line: int
    column: int

    def fault(self, message: str, hint: str = "") -> Fault:
        """Make a fault at this place."""
        return Fault(message=message, file=self.file, line=self.line, column=self.column, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a request must come to.

    Args:
        decision: allow, deny or awaiting_approval.
        rules: determining rules; None where the case does not say.
        exact: whether `rules` are all of them, or at least those.
        kind: why; empty where the case does not say.
        errors: one text for each expected error: the id of the rule that errs, or a part of its message.
        error_count: how many errors are expected where their texts are not said, else None.
        approve: roles that must approve; None where the case does not say.
        redact_arguments, redact_result: members that obligations mask; None where the case does not say.
        written: what was read, with its place; None where nobody wrote it.
    """

    decision: str
    rules: tuple[str, ...] | None = None
    exact: bool = True
    kind: str = ""
    errors: tuple[str, ...] = ()
    error_count: int | None = None
    approve: tuple[str, ...] | None = None
    redact_arguments: tuple[str, ...] | None = None
    redact_result: tuple[str, ...] | None = None
    written: Node | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CedarRef:
    """Names an entity in Cedar's own terms.

    Args:
        type: with its namespace, such as `User` or `PhotoApp::User`.
        id: as it is, without quotes.
    """

    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.type}::{quoted(self.id)}"

    def to_json(self) -> JsonObject:
        """Return the reference as Cedar's JSON."""
        return {"type": self.type, "id": self.id}


@dataclass(frozen=True, slots=True, kw_only=True)
class CedarQuestion:
    """A request in Cedar's own terms, for suites of plain policies.

    Args:
        principal, action, resource: entity references.
        context: Cedar's JSON.
        entities: entities of this request alone, in Cedar's JSON; they replace those of the suite by uid.
        validate: whether Cedar checks the request against the schema, where there is one.
    """

    principal: CedarRef
    action: CedarRef
    resource: CedarRef
    context: JsonObject
    entities: tuple[JsonObject, ...] = ()
    validate: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request with what is expected of it.

    Args:
        name: what it promises; with the combination in brackets where a matrix made it.
        place: where it was written.
        request: as written, fixtures and defaults filled in.
        question: the same, read; a suite of plain policies has Cedar's own.
        expect: what must come out.
        combination: the values of its matrix by dotted path; empty without one.
        skip: why it is not decided; empty where it is.
        written: the request as read, with its place.
    """

    name: str
    place: Place
    request: JsonObject
    question: Question | CedarQuestion
    expect: Expectation
    written: Node
    combination: Mapping[str, JsonValue] = field(default_factory=dict[str, "JsonValue"])
    skip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolAnswer:
    """One recorded answer of a tool.

    Args:
        value: what it returned, or the text of its error.
        ok: whether it worked.
    """

    value: JsonValue
    ok: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A whole run: what the caller says, what the model says, what tools answer.

    Args:
        input: what the caller says.
        caller: `id`, `kind`, `roles` and the declared attributes.
        said: the model's turns.
        tools: recorded answers by tool, in the order of its calls; the last one is given again.
        environment: values over the declared ones.
        now: RFC 3339 UTC time, the same through the whole run.
        settlings: answers to approvals, in the order in which they are asked for.
    """

    input: str
    caller: JsonObject
    said: tuple[Said, ...]
    tools: Mapping[str, tuple[ToolAnswer, ...]]
    environment: JsonObject
    now: str
    settlings: tuple[Settlement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedStep:
    """One line of an expected decision trace.

    Args:
        action: the Cedar action.
        decision: allow, deny or awaiting_approval.
        resource: name of the tool or block; empty where the case does not say.
        rules: exactly the determining rules; None where the case does not say.
        kind: why; empty where the case does not say.
        place: where it was written.
    """

    action: str
    decision: str
    resource: str
    rules: tuple[str, ...] | None
    kind: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class RunExpectation:
    """What a whole run must come to.

    Args:
        status: how the run ends.
        lifecycle: of the agent afterwards; empty where the case does not say.
        text: what the model's last words must contain; empty where the case does not say.
        reason: what the reason for not completing must contain; empty where the case does not say.
        trace: the decisions in order; None where the case does not say.
        exact: whether `trace` is all of them, or some of them in this order.
        usage: counters of the run that must have exactly these values.
        memory: operations on memory in order, as `operation block`; None where the case does not say.
    """

    status: str
    lifecycle: str = ""
    text: str = ""
    reason: str = ""
    trace: tuple[ExpectedStep, ...] | None = None
    exact: bool = True
    usage: Mapping[str, int] = field(default_factory=dict[str, int])
    memory: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCase:
    """One whole run with what is expected of it.

    Args:
        name: what it promises.
        place: where it was written.
        conversation: what happens.
        expect: what must come out.
        combination: the values of its matrix by dotted path; empty without one.
        skip: why it is not run; empty where it is.
    """

    name: str
    place: Place
    conversation: Conversation
    expect: RunExpectation
    combination: Mapping[str, JsonValue] = field(default_factory=dict[str, "JsonValue"])
    skip: str = ""


AnyCase = Case | RunCase


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSubject:
    """An agent that requests are decided under: a project folder or a document file."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class CedarSubject:
    """Plain Cedar policies that requests are decided under.

    Args:
        policies: files, in order; a policy without `@id` is called by its position, `policy0` and so on.
        schema: a Cedar schema file, JSON or Cedar's own syntax; None for none.
        entities: in Cedar's JSON.
        validate: whether the policies must be valid under the schema (True), must not be (False), or either.
        by_position: call every policy by its position, whatever `@id` it has.
        beside: other files that it was read from.
    """

    policies: tuple[Path, ...]
    schema: Path | None
    entities: tuple[JsonObject, ...]
    validate: bool | None
    by_position: bool = False
    beside: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One file of cases.

    Args:
        name: its own name for itself, else the file's.
        file: as the user would type it.
        place: its beginning, or where it names its subject.
        subject: what its requests are decided under.
        cases: expanded, in the order of the file.
        origin: how it was written.
    """

    name: str
    file: str
    place: Place
    subject: AgentSubject | CedarSubject
    cases: tuple[AnyCase, ...]
    origin: Literal["cases", "cedar-integration"] = "cases"

    def subject_is(self, folder: Path) -> bool:
        """Return whether the cases are decided under the agent of this folder."""
        return isinstance(self.subject, AgentSubject) and self.subject.path.resolve() == folder.resolve()

    def requests(self) -> tuple[Case, ...]:
        """Return the cases that are one request, without those that are skipped."""
        return tuple(case for case in self.cases if isinstance(case, Case) and not case.skip)
