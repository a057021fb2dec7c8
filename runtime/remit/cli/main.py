"""The composition root of the command line: which verbs there are, and how each of them ends."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, cast

import click

from remit.cli.exits import guarded
from remit.project.source import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = {
    "init": "Make a project folder to start from.",
    "build": "Build the document of a project folder.",
    "check": "Build, compile, lint and run the cases of a project folder.",
    "test": "Decide cases and compare; say what is behind every one that does not hold.",
    "cases": "Take over test cases of the Cedar command line, or write them for it.",
    "coverage": "Show what a project's cases reach of its rules.",
    "mutate": "Change rules on purpose and see whether a case notices.",
    "packs": "List, show, make, check, pin, sign and verify governance packs.",
    "inspect": "Show what a document says: six fields, rules, pending approvals.",
    "verify": "Check a document's identity and signatures.",
    "sign": "Sign a document.",
    "keys": "Make signing keys.",
    "import": "Make a document of an agent of another framework.",
    "export": "Write an agent for another framework.",
    "compile": "Compile a document's governance to Cedar.",
    "decide": "Ask the engine one question.",
    "diff": "Compare two documents, and what their differences flip.",
    "replay": "Decide recorded requests again under other rules.",
    "shadow": "Report what a candidate would have answered in production.",
    "run": "Run an agent once.",
    "amend": "Change an agent's rules or capabilities under its own rules.",
    "approve": "Approve what a run or an amendment waits for.",
    "refuse": "Refuse what a run or an amendment waits for.",
    "resume": "Let a run, or a suspended agent, go on.",
    "suspend": "Suspend an agent.",
    "kill": "Stop effects at once.",
    "settle": "Say what became of effects that a crash left open.",
    "memory": "List, prove and erase what an agent remembers.",
    "ledger": "Show, verify, prove, export and prune the record of decisions.",
    "evidence": "Hand over records with their proofs, and check what was handed over.",
    "hold": "Place, lift and list legal holds.",
    "retention": "Find and erase what is past the time for which it is kept.",
    "backends": "List, compare and check back-ends, and clean up at vendors.",
    "models": "Fetch and verify model weights.",
    "schema": "Print the schema of documents, rules, cases or policies.",
    "demo": "Play an example's scenes and check what they show.",
    "version": "Print versions.",
}
_MODULES = {"import": "import_"}
"""Modules of verbs that Python has as a word of its own."""

_EXAMPLES = (
    '\b\nExamples:\n  remit init refund-desk\n  remit check refund-desk\n  remit run refund-desk --input "…"'
)


class VerbGroup(click.Group):
    """Verbs that are imported when they are asked for; every error ends as text and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which people meet them."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb."""
        if cmd_name not in VERBS:
            hint = nearest(cmd_name, VERBS)
            raise click.UsageError(f"no verb is called `{cmd_name}`" + (f"; {hint}" if hint else ""), ctx)
        module = importlib.import_module(f"remit.cli.{_MODULES.get(cmd_name, cmd_name)}")
        return cast("click.Command", module.command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs without importing them."""
        del ctx
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002  # click's signature
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002  # click's signature
        **extra: Any,  # noqa: ANN401  # click's signature
    ) -> Any:  # noqa: ANN401  # click's signature
        """Run one invocation and exit with its code."""
        del prog_name  # one name in every message, however this was started
        arguments = list(sys.argv[1:] if args is None else args)

        def body() -> object:
            return super(VerbGroup, self).main(
                args=arguments,
                prog_name="remit",
                complete_var=complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )

        code = guarded(body, arguments)
        if not standalone_mode:
            return code
        sys.exit(code)


@click.group(cls=VerbGroup, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="remit", prog_name="remit")
def cli() -> None:
    """Run AI agents under rules that compile from their own document.

    Exit codes: 0 fine, 1 findings, 2 bad input, 3 denied, 4 awaiting approval, 5 terminated.
    """


def main() -> None:
    """Run the command line."""
    cli.main()
