"""Where the command `remit` begins: ready for an interrupt before anything large is imported.

The imports of the command line take a fraction of a second, and whoever presses Ctrl-C within it
is told so as at any other time: in one line, with exit code 130.
"""

from __future__ import annotations

import sys

INTERRUPTED = 130
_VALUE = (
    '{"error": {"kind": "Interrupted", "faults": [{"message": "interrupted", "file": "", "line": 0, '
    '"column": 0, "pointer": "", "hint": ""}], "exit_code": 130}}\n'
)


def main() -> None:
    """Run the command line."""
    try:
        from remit.cli.main import main as run

        run()
    except KeyboardInterrupt:
        if "--json" in sys.argv:
            sys.stdout.write(_VALUE)
        else:
            sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)
