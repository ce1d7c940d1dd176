"""The files that the configuration names: cards, and secrets that nobody else may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from gateway.config.document import Problem
from gateway.errors import GatewayError

FILE_SIZE_MAX: Final = 64 * 1024


class FileProblemError(GatewayError):
    """A named file cannot be used; `problem` goes to the operator."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def secret_path(path: Path) -> Path:
    """Where a private file is read: the systemd credential of its name takes its place.

    `LoadCredential=station.key:/etc/hotline-gateway/station.key` gives the service a copy that no
    other user can reach, so that the file itself may stay root's.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = None if not folder else Path(folder) / path.name
    return credential if credential is not None and credential.exists() else path


def read_public(where: str, path: Path) -> bytes:
    """Read a card or a certificate, at most 64 KiB. Raises `FileProblemError`."""
    return _read(where, path, is_private=False)


def read_private(where: str, path: Path) -> bytes:
    """Read a key, secret or password. Raises `FileProblemError`, also when others may read it."""
    return _read(where, secret_path(path), is_private=True)


def _open_to_others(path: Path, status: os.stat_result) -> int:
    """Bits of a mode that let others read or change a private file.

    systemd gives its service a credential of root by an ACL, whose mask shows as the group's.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    is_credential = bool(folder) and path.parent == Path(str(folder)) and status.st_uid == 0
    return 0o037 if is_credential else 0o077


def _read(where: str, path: Path, *, is_private: bool) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                what, remedy = f"{path} is no file", "name a file"
                raise FileProblemError(Problem(where, what, remedy))
            if is_private and status.st_mode & _open_to_others(path, status):
                what = f"{path} may be read by others (mode {stat.S_IMODE(status.st_mode):04o})"
                raise FileProblemError(Problem(where, what, f"run: chmod 600 {path}"))
            octets = file.read(FILE_SIZE_MAX + 1)
    except PermissionError as error:
        what = f"{path} may not be read by this user"
        remedy = "run it with sudo; the service needs a file that its own user may read"
        raise FileProblemError(Problem(where, what, remedy)) from error
    except OSError as error:
        what = f"{path} cannot be read ({error.strerror})"
        remedy = "check the path, and that the daemon's user may read it"
        raise FileProblemError(Problem(where, what, remedy)) from error
    if len(octets) > FILE_SIZE_MAX:
        what = f"{path} has more than {FILE_SIZE_MAX} octets"
        raise FileProblemError(Problem(where, what, "name the right file"))
    return octets
