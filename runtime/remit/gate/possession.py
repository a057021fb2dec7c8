"""The gate's own copy of what it is asked, and whether its parts are about one thing."""

from __future__ import annotations

from typing import cast

from remit.document.values import JsonObject, canonical_bytes, unshared
from remit.engine.request import Request
from remit.gate.answers import Ask
from remit.gate.arguments import argument_faults
from remit.ports import Invocation


def own_copy(ask: Ask) -> Ask:
    """Return an ask whose context and arguments nobody else holds; what was one object stays one."""
    request, content = ask.request, ask.content
    # Constructors, not `replace`, which takes as long as a decision.
    own = Request(
        principal=request.principal,
        action=request.action,
        resource=request.resource,
        context=cast("JsonObject", unshared(request.context)),
        entities=request.entities,
    )
    if isinstance(content, Invocation):
        if request.context.get("input") is content.arguments:
            arguments = cast("JsonObject", own.context["input"])
        else:
            arguments = cast("JsonObject", unshared(content.arguments))
        content = Invocation(tool=content.tool, arguments=arguments, key=content.key)
    return Ask(
        request=own,
        revision=ask.revision,
        step=ask.step,
        content=content,
        effect=ask.effect,
        target=ask.target,
        parameters=ask.parameters,
        approvals=ask.approvals,
        scopes=ask.scopes,
        basis=ask.basis,
    )


def shape_faults(ask: Ask) -> tuple[str, ...]:
    """Return what does not fit together in an ask: the permit would allow something else than was decided."""
    content = ask.content
    if ask.effect == "call_tool":
        if not isinstance(content, Invocation):
            return ("a tool call needs an invocation",)
        if not ask.target == content.tool == ask.request.action == ask.request.resource.ref.id:
            return ("the invocation, the action and the resource name different tools",)
        # By canonical bytes: in Python `True == 1`, in Cedar and in JSON they differ.
        decided = ask.request.context.get("input")
        if decided is not content.arguments and canonical_bytes(decided) != canonical_bytes(
            content.arguments
        ):
            return ("the arguments that would be decided are not those that would run",)
    elif ask.effect == "dispatch":
        if isinstance(content, Invocation | str):
            return ("an inference call needs its turn",)
        if ask.target != ask.request.resource.ref.id or ask.request.action != "dispatch":
            return ("the request is not about the back-end that would be called",)
    if ask.parameters is not None:
        arguments = content.arguments if isinstance(content, Invocation) else None
        return argument_faults(arguments, ask.parameters)
    return ()
