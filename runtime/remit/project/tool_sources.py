"""What the project's own functions and MCP servers say of themselves, asked while building."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import inspect
import os
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from remit.document.model import Tool
from remit.errors import AdapterError, DocumentError, Fault
from remit.host.installed import installed
from remit.host.tools import FunctionTool, describe_function
from remit.ports import ToolContext, ToolDescription, ToolSource
from remit.project.source import FaultList, Node, nearest, shown_path

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import ModuleType

    from remit.document.values import JsonObject


def describe_python(folder: Path, node: Node, *, faults: FaultList) -> FunctionTool | None:
    """Import `module:function` from the folder and derive its schema.

    Args:
        folder: the project folder.
        node: the text `module:function`.
        faults: receives whatever is wrong, at the author's Python line where there is one.
    """
    module_name, _, function_name = str(node.value).partition(":")
    path = folder.joinpath(*module_name.split(".")).with_suffix(".py")
    if not module_name or ".." in module_name or not path.is_file():
        relative = module_name.replace(".", "/") + ".py"
        faults.add(
            node.fault(f"`{relative}` does not exist in the project folder", "check `module:function`")
        )
        return None
    try:
        module = _import(folder, path)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # the project's own code may raise anything
        faults.add(_import_fault(folder, path, error))
        return None
    function: object = getattr(module, function_name, None)
    if not inspect.isfunction(function):
        names = [name for name, value in vars(module).items() if inspect.isfunction(value)]
        faults.add(
            node.fault(
                f"`{path.relative_to(folder).as_posix()}` has no function `{function_name}`",
                nearest(function_name, names) or "name a function of that module",
            )
        )
        return None
    try:
        return describe_function(function)
    except DocumentError as error:
        line = function.__code__.co_firstlineno
        for fault in error.faults:
            faults.add(
                Fault(
                    message=fault.message,
                    file=shown_path(folder, path.relative_to(folder).as_posix()),
                    line=line,
                    column=1,
                    hint=fault.hint,
                )
            )
        return None


def _import(folder: Path, path: Path) -> ModuleType:
    # INVARIANT (own name): two projects may both hold a `tools.py`, so a module never has its plain name.
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    name = f"_remit_project_{digest}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"`{path.name}` is not a Python module")
    module = importlib.util.module_from_spec(spec)
    with _import_path(folder):
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return module


@contextmanager
def _import_path(folder: Path) -> Generator[None]:
    """Let the folder's modules import each other; forget them, for no other project may see them."""
    root = str(folder.resolve())
    before, bytecode = set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, root)
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = bytecode
        sys.path.remove(root)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).resolve().is_relative_to(root) and not name.startswith("_remit_project_"):
                del sys.modules[name]


def _import_fault(folder: Path, path: Path, error: BaseException) -> Fault:
    file = shown_path(folder, path.relative_to(folder).as_posix())
    line, column = 0, 0
    if isinstance(error, SyntaxError) and error.lineno:
        line, column = error.lineno, error.offset or 1
    else:
        for frame in traceback.extract_tb(error.__traceback__):
            if Path(frame.filename).resolve() == path.resolve():
                line, column = frame.lineno or 0, 1
    text = str(error).splitlines()
    cause = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    return Fault(
        message=f"the module cannot be imported: {cause}",
        file=file,
        line=line,
        column=column,
        hint="mend it, or give `name`, `description` and `parameters` in agent.yaml to import nothing",
    )


def describe_mcp(
    folder: Path, node: Node, server: JsonObject, *, tool: str, faults: FaultList
) -> ToolDescription | None:
    """Ask an MCP server for the description of one of its tools.

    Args:
        folder: the project folder; a server command starts there.
        node: the tool's `mcp` member.
        server: its value, without `tool`.
        tool: the tool's name on the server.
        faults: receives whatever is wrong.
    """
    try:
        offered = asyncio.run(_ask_server(folder, server))
    except AdapterError as error:
        faults.add(node.fault(f"the MCP server cannot be asked: {error}", "give the tool's members yourself"))
        return None
    found = next((item for item in offered if item.name == tool), None)
    if found is None:
        names = [item.name for item in offered]
        hint = nearest(tool, names) or f"it offers {', '.join(names) or 'none'}"
        faults.add(node.fault(f"the MCP server has no tool `{tool}`", hint))
    return found


async def _ask_server(folder: Path, server: JsonObject) -> tuple[ToolDescription, ...]:
    points = installed("remit.tools", "mcp")
    for point in points:
        opener = cast("Callable[..., ToolSource]", point.load())
        probe = Tool(name="probe", description="", parameters={}, effect="read", source={"mcp": server})
        context = ToolContext(folder=folder, environment=dict(os.environ), functions={}, servers={})
        source = opener((probe,), context=context)
        try:
            return await source.describe()
        finally:
            await source.close()
    raise AdapterError("no tool adapter is called `mcp`; install `remit[mcp]`")
