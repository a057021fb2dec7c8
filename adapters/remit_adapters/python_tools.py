"""Tools that are Python functions: `{"source": {"python": "module:function"}}` or `{"embedder": true}`.

Rules
1. The module is found in the project's folder first (`module.py` or `pkg/module.py`), else among importable
   modules.
2. Its code runs when a run opens its tools, never when a document is built or verified.
3. `call` redeems its permit before anything else; a refused permit means that nothing ran.
4. A function that takes longer than its timeout is abandoned: `AdapterError`, the outcome is unknown. A
   thread
   cannot be stopped, so a synchronous function may still finish; that is what unknown means.
5. An exception becomes `{"error": "<type>: <message>"}`, without a traceback.
6. What a tool prints goes to standard error: standard output belongs to the embedder.
7. Functions are typed. Only for a source `embedder` a plain callable will do: it gets the arguments by name,
   as JSON values, once they fit the document's schema.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import importlib
import importlib.util
import inspect
import io
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO, cast

from remit.errors import AdapterError, DocumentError
from remit.host.tool_values import error_result, fit_result
from remit.host.tools import FunctionTool, ToolMark, describe_function
from remit.permit import Permit, redeem
from remit.ports import Invocation, ToolContext, ToolDescription, ToolResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from remit.document.model import Tool
    from remit.document.values import JsonObject

_IN_TOOL: ContextVar[bool] = ContextVar("remit_in_tool", default=False)
_LOADING = threading.RLock()


def open_tools(tools: Sequence[Tool], *, context: ToolContext) -> PythonTools:
    """Open the Python functions behind `tools`.

    Args:
        tools: tools of the document whose source has the member `python` or `embedder`.
        context: the folder, and functions that the embedder passed in, which take precedence by tool name.

    Raises:
        AdapterError: a source cannot be found, or its signature does not fit the document's parameters.
    """
    found: dict[str, tuple[Tool, FunctionTool]] = {}
    for tool in tools:
        function = context.functions.get(tool.name)
        if function is None:
            function = _load(tool, context.folder)
        found[tool.name] = (tool, _described(tool, function))
    return PythonTools(found)


class PythonTools:
    """Runs typed Python functions, only under a permit."""

    def __init__(self, tools: Mapping[str, tuple[Tool, FunctionTool]]) -> None:
        self._tools = dict(tools)
        self._closed = False

    async def describe(self) -> tuple[ToolDescription, ...]:
        """Return the tools under their names in the document."""
        return tuple(
            ToolDescription(name=name, description=function.description, parameters=function.parameters)
            for name, (_, function) in self._tools.items()
        )

    async def call(self, permit: Permit, invocation: Invocation) -> ToolResult:
        """Redeem the permit for exactly `invocation` and run the function.

        Raises:
            PermitError: no valid permit; nothing ran.
            AdapterError: it timed out, so its outcome is unknown; or the source is closed.
        """
        # INVARIANT (one content): what is checked is what runs, whoever else holds the arguments meanwhile.
        invocation = replace(invocation, arguments=copy.deepcopy(invocation.arguments))
        redeem(permit, effect="call_tool", target=invocation.tool, digest=invocation.digest())
        if self._closed:
            raise AdapterError("the tools are closed; nothing ran")
        entry = self._tools.get(invocation.tool)
        if entry is None:
            raise AdapterError(f"tool `{invocation.tool}`: this source does not have it; nothing ran")
        tool, function = entry
        try:
            arguments = function.convert(invocation.arguments)
        except Exception as error:  # noqa: BLE001  # a tool's own types may raise anything while they convert
            return error_result(f"tool `{tool.name}` does not accept these arguments: {_said(error)}")
        return await _run(tool, function, arguments)

    async def close(self) -> None:
        """Refuse further calls; idempotent."""
        self._closed = True


def _enter_tool() -> None:
    _IN_TOOL.set(True)


async def _run(tool: Tool, function: FunctionTool, arguments: Mapping[str, object]) -> ToolResult:
    context = copy_context()
    context.run(_enter_tool)
    with _diverted_output():
        if inspect.iscoroutinefunction(function.function):
            coroutine = cast("Callable[..., Awaitable[object]]", function.function)
            work: asyncio.Future[ToolResult] = asyncio.get_running_loop().create_task(
                _awaited(tool, coroutine, arguments), context=context
            )
        else:
            work = _threaded(lambda: context.run(_called, tool, function.function, arguments))
        try:
            done, _ = await asyncio.wait({work}, timeout=tool.timeout_s)
        except asyncio.CancelledError:
            work.cancel()
            raise
        if not done:
            work.cancel()
            raise AdapterError(
                f"tool `{tool.name}` did not finish within {tool.timeout_s:g} s: its outcome is unknown"
            )
        return work.result()


def _called(tool: Tool, function: Callable[..., object], arguments: Mapping[str, object]) -> ToolResult:
    try:
        return _fitted(tool, function(**arguments))
    except BaseException as error:  # noqa: BLE001  # whatever a tool raises is its result
        return error_result(_said(error))


async def _awaited(
    tool: Tool, function: Callable[..., Awaitable[object]], arguments: Mapping[str, object]
) -> ToolResult:
    try:
        return _fitted(tool, await function(**arguments))
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return error_result(_said(error))  # nobody cancelled it: the tool raised it
    except BaseException as error:  # noqa: BLE001  # whatever a tool raises is its result
        return error_result(_said(error))


def _said(error: BaseException) -> str:
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # an exception of a tool may not even have a text
        return name
    return f"{name}: {text}"


def _has_iterator(value: object) -> bool:
    """Whether a generator or the like hides in a value: it may never end, and reading it runs the tool on."""
    if isinstance(value, dict):
        return any(_has_iterator(item) for item in cast("dict[object, object]", value).values())
    if isinstance(value, (list, tuple)):
        return any(_has_iterator(item) for item in cast("Sequence[object]", value))
    return isinstance(value, (Iterator, AsyncIterator))


def _fitted(tool: Tool, value: object) -> ToolResult:
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        if _has_iterator(value):
            return error_result(
                f"tool `{tool.name}` returned no JSON: a `{type(value).__name__}` to iterate over"
            )
        plain: object = to_jsonable_python(value, inf_nan_mode="constants")
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        return error_result(f"tool `{tool.name}` returned no JSON: {error}")
    return fit_result(plain, max_bytes=tool.max_result_bytes, tool=tool.name)


def _threaded(work: Callable[[], ToolResult]) -> asyncio.Future[ToolResult]:
    """Run `work` in a daemon thread: one that hangs must not keep the process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[ToolResult] = loop.create_future()

    def settle(result: ToolResult) -> None:
        if not future.done():
            future.set_result(result)

    def body() -> None:
        result = work()
        try:
            loop.call_soon_threadsafe(settle, result)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    threading.Thread(target=body, name="remit-tool", daemon=True).start()
    return future


class _Diverter(io.TextIOBase):
    """Standard output, except that what a tool writes goes to standard error."""

    def __init__(self, original: object) -> None:
        super().__init__()
        self.original = original

    def _stream(self) -> object:
        return sys.stderr if _IN_TOOL.get() else self.original

    def write(self, text: str, /) -> int:
        return cast("io.TextIOBase", self._stream()).write(text)

    def flush(self) -> None:
        cast("io.TextIOBase", self._stream()).flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return cast("io.TextIOBase", self._stream()).isatty()

    def fileno(self) -> int:
        return cast("io.TextIOBase", self._stream()).fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a property, as on real streams
        return cast("str", getattr(self._stream(), "encoding", "utf-8"))

    @property
    def buffer(self) -> object:
        return cast("object", getattr(self._stream(), "buffer", None))


_DIVERSION = threading.Lock()
_active: list[_Diverter] = []
_depth = [0]


@contextmanager
def _diverted_output() -> Generator[None]:
    with _DIVERSION:
        if _depth[0] == 0:
            diverter = _Diverter(sys.stdout)
            _active.append(diverter)
            sys.stdout = diverter
        _depth[0] += 1
    try:
        yield
    finally:
        with _DIVERSION:
            _depth[0] -= 1
            if _depth[0] == 0:
                diverter = _active.pop()
                if sys.stdout is diverter:
                    sys.stdout = cast("TextIO", diverter.original)


def _load(tool: Tool, folder: Path | None) -> Callable[..., object]:
    source = tool.source.get("python")
    module_name, colon, function_name = source.partition(":") if isinstance(source, str) else ("", "", "")
    if not (module_name and colon and function_name):
        raise AdapterError(f"tool `{tool.name}`: source `{source}` is not of the form `module:function`")
    if not all(part.isidentifier() for part in (*module_name.split("."), function_name)):
        raise AdapterError(f"tool `{tool.name}`: source `{source}` is not of the form `module:function`")
    with _LOADING:
        module = _module(tool, module_name, folder)
    function: object = getattr(module, function_name, None)
    if not callable(function):
        raise AdapterError(f"tool `{tool.name}`: `{module_name}` has no function `{function_name}`")
    return function


def _module(tool: Tool, name: str, folder: Path | None) -> ModuleType:
    path = None if folder is None else _module_file(folder, name)
    if path is None:
        try:
            return importlib.import_module(name)
        except Exception as error:
            where = "" if folder is None else f" in `{folder}` or"
            raise AdapterError(
                f"tool `{tool.name}`: no module `{name}`{where} among importable modules: {error}"
            ) from error
    unique = f"_remit_tools_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    stamp = path.stat().st_mtime_ns
    known = sys.modules.get(unique)
    if known is not None and getattr(known, "__remit_stamp__", None) == stamp:
        return known
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise AdapterError(f"tool `{tool.name}`: `{path}` is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    root = str(path.parent)
    sys.path.insert(0, root)  # siblings of a project's tools are imported by their plain names
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(unique, None)
        raise AdapterError(
            f"tool `{tool.name}`: `{path.name}` cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    finally:
        if root in sys.path:
            sys.path.remove(root)
    module.__dict__["__remit_stamp__"] = stamp
    return module


def _module_file(folder: Path, name: str) -> Path | None:
    base = folder.resolve().joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _described(tool: Tool, function: Callable[..., object]) -> FunctionTool:
    try:
        described = describe_function(function)
    except DocumentError as error:
        if "embedder" in tool.source:
            return _plain(tool, function)
        raise AdapterError(f"tool `{tool.name}`: {error}") from error
    _check_fit(tool, described)
    return described


def _plain(tool: Tool, function: Callable[..., object]) -> FunctionTool:
    """Take a callable without annotations at the document's word."""
    for member in ("properties", "required"):
        try:
            inspect.signature(function).bind(**dict.fromkeys(_names(tool.parameters, member)))
        except ValueError:
            break  # such as a function written in C, which says nothing of its arguments
        except TypeError as error:
            raise AdapterError(
                f"tool `{tool.name}`: the function does not take what the document declares: {error}"
            ) from error
    return FunctionTool(
        name=tool.name,
        description=tool.description,
        parameters=tool.parameters,
        mark=ToolMark(),
        function=function,
        convert=lambda arguments: arguments,
    )


def _check_fit(tool: Tool, function: FunctionTool) -> None:
    """Refuse a function that cannot take what the document promises to the model."""
    declared = _names(tool.parameters, "properties")
    taken = _names(function.parameters, "properties")
    for name in sorted(declared - taken):
        raise AdapterError(
            f"tool `{tool.name}`: the document declares the argument `{name}`, the function does not take it"
        )
    for name in sorted(_names(function.parameters, "required") - _names(tool.parameters, "required")):
        raise AdapterError(
            f"tool `{tool.name}`: the function needs the argument `{name}`, the document does not require it"
        )


def _names(schema: JsonObject, member: str) -> set[str]:
    found = schema.get(member)
    if isinstance(found, dict):
        return set(found)
    return {name for name in found if isinstance(name, str)} if isinstance(found, list) else set()
