"""The one place of exit codes, and the exception that ends a command with one of them."""

from __future__ import annotations

import enum
from typing import Final


class ExitCode(enum.IntEnum):
    """What a command's exit says to a script. 70 to 78 are those of sysexits.h."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    NOT_FOUND = 5
    FORBIDDEN = 6
    CONFLICT = 7
    NOT_ACKNOWLEDGED = 8
    INTERNAL = 70
    STORE_FAILED = 74
    TRY_LATER = 75
    CONFIGURATION = 78
    INTERRUPTED = 130


MEANINGS: Final = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "looked at and found wrong: bench, doctor, log verify say what",
    ExitCode.USAGE: "wrong command, option or value; nothing was sent",
    ExitCode.REFUSED: "the gateway refused the request",
    ExitCode.UNREACHABLE: "the gateway does not run or does not answer",
    ExitCode.NOT_FOUND: "no such station, notice, file or entry",
    ExitCode.FORBIDDEN: "this user may not do that",
    ExitCode.CONFLICT: "conflict: closed, answered or used already",
    ExitCode.NOT_ACKNOWLEDGED: "--wait: ended or timed out without the acknowledgement",
    ExitCode.INTERNAL: "a fault of this program",
    ExitCode.STORE_FAILED: "run: the store failed; start again (the service does)",
    ExitCode.TRY_LATER: "not now: store full, busy or stopping; try later",
    ExitCode.CONFIGURATION: "configuration or key files are wrong",
    ExitCode.INTERRUPTED: "stopped by Ctrl-C",
}


class CommandError(Exception):
    """Ends the command: one sentence of what, where and what to do, and the exit code."""

    def __init__(self, code: ExitCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def exit_code_help() -> str:
    """The table for `--help`, a line each."""
    return "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items())
