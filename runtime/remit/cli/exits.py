"""Exit codes, and how errors reach people and programs.

0    fine
1    findings: a check, a verification or a run failed
2    bad input: what was given cannot be accepted or read
3    denied
4    awaiting approval
5    terminated
70   internal error (BSD sysexits EX_SOFTWARE)
130  interrupted
"""

from __future__ import annotations

import traceback
from enum import IntEnum
from typing import TYPE_CHECKING

import click

from remit.cli.output import Session, fault_value, one_line, printable
from remit.errors import Fault, FaultsError, GovernanceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from remit.document.values import JsonObject

REPORT_TO = "the project's issue tracker"


class ExitCode(IntEnum):
    """What a verb tells the shell."""

    FINE = 0
    FINDINGS = 1
    BAD_INPUT = 2
    DENIED = 3
    AWAITING_APPROVAL = 4
    TERMINATED = 5
    INTERNAL = 70
    INTERRUPTED = 130


_OF_STATUS = {
    "completed": ExitCode.FINE,
    "denied": ExitCode.DENIED,
    "awaiting_approval": ExitCode.AWAITING_APPROVAL,
    "terminated": ExitCode.TERMINATED,
    "suspended": ExitCode.TERMINATED,
    "failed": ExitCode.FINDINGS,
}


def code_of_status(status: str) -> int:
    """Return the exit code of a run's status."""
    return _OF_STATUS.get(status, ExitCode.FINDINGS)


def bad_input(message: str, hint: str = "") -> FaultsError:
    """Make the error for an argument that cannot be used."""
    return FaultsError(Fault(message=message, hint=hint))


def guarded(body: Callable[[], object], arguments: Sequence[str]) -> int:
    """Run `body`, turn whatever it raises into text and an exit code.

    Args:
        body: returns the exit code; anything that is no integer counts as 0.
        arguments: the command line, to know whether `--json` and `--debug` were asked for.
    """
    given = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    session = Session(json="--json" in given, debug="--debug" in given)
    try:
        code = body()
    except click.Abort:
        return _interrupted(session)
    except KeyboardInterrupt:
        return _interrupted(session)
    except click.ClickException as error:
        return _usage(session, error)
    except FaultsError as error:
        return _faults(session, error, error.faults)
    except GovernanceError as error:
        return _faults(session, error, (Fault(message=str(error)),))
    except BrokenPipeError:
        return ExitCode.FINE
    except OSError as error:
        # What the system refuses (a full disk, a path that is too long) is no defect of this program.
        cause = error.strerror or one_line(str(error))
        name = f"`{one_line(str(error.filename), limit=120)}`" if error.filename is not None else "a file"
        return _faults(session, error, (Fault(message=f"{name} cannot be used: {cause}"),))
    except Exception as error:  # noqa: BLE001  # the last line of defence: people never see a traceback unasked
        return _internal(session, error)
    return code if isinstance(code, int) else ExitCode.FINE


def _interrupted(session: Session) -> int:
    if session.json:
        session.emit(_error_value("Interrupted", (Fault(message="interrupted"),), ExitCode.INTERRUPTED))
    else:
        session.complain("interrupted")
    return ExitCode.INTERRUPTED


def _usage(session: Session, error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not session.json:
        session.complain(error.format_message())
        return ExitCode.BAD_INPUT
    message = _tidy(error.format_message())
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        message = "no verb is given"
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f"see `{context.command_path} --help`" if context is not None else ""
    fault = Fault(message=message, hint=hint)
    return _faults(session, error, (fault,), kind="UsageError")


def _faults(session: Session, error: Exception, faults: Sequence[Fault], *, kind: str = "") -> int:
    if session.json:
        session.emit(_error_value(kind or type(error).__name__, faults, ExitCode.BAD_INPUT))
    else:
        for fault in faults:
            session.complain(f"error: {fault}")
        if len(faults) > 1:
            session.complain(f"{len(faults)} faults")
    if session.debug:
        _trace(session, error)
    return ExitCode.BAD_INPUT


def _internal(session: Session, error: Exception) -> int:
    cause = str(error).splitlines()
    message = f"internal error: {type(error).__name__}" + (f": {cause[0]}" if cause else "")
    hint = f"please report it to {REPORT_TO}, with the output of `--debug`"
    if session.json:
        session.emit(_error_value("InternalError", (Fault(message=message, hint=hint),), ExitCode.INTERNAL))
    else:
        session.complain(f"{message}; {hint}")
    if session.debug:
        _trace(session, error)
    return ExitCode.INTERNAL


def _trace(session: Session, error: Exception) -> None:
    session.complain("".join(traceback.format_exception(error)).rstrip())


def _error_value(kind: str, faults: Sequence[Fault], code: int) -> JsonObject:
    return {
        "error": {"kind": kind, "faults": [fault_value(fault) for fault in faults], "exit_code": int(code)}
    }


def _tidy(message: str) -> str:
    """Bring click's sentences into our form: lower case, backticks, no full stop."""
    text = printable(message).strip().rstrip(".").replace("'", "`")
    return text[:1].lower() + text[1:]
