"""Key, secret and card files: written once, private ones with mode 0600 from the first octet."""

from __future__ import annotations

import itertools
import os
import stat
import sys
import tomllib
from pathlib import Path
from typing import Final

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.options import Common

PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
FILE_SIZE_MAX: Final = 65_536
KEY_FILE_DEFAULT: Final = Path("/etc/hotline-gateway/station.key")


def write_new(path: Path, content: str | bytes, *, mode: int, replace: bool = False) -> None:
    """Write a file that did not exist, UTF-8 or octets, and bring it and its name to the disk.

    `replace` puts it in place of an old one at once, whole or not at all. As root the file gets the
    owner of its folder, so that the service's user can read what lies in the service's folder.
    """
    target = path.with_name(f".{path.name}.new") if replace else path
    if replace:
        target.unlink(missing_ok=True)
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError as error:
        raise CommandError(
            ExitCode.CONFLICT,
            f"{path} exists and is not overwritten; move it away first if you mean to replace it",
        ) from error
    except OSError as error:
        raise cannot("written", path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            if os.geteuid() == 0:
                folder = os.stat(path.parent)  # noqa: PTH116 (beside fchown)
                os.fchown(descriptor, folder.st_uid, folder.st_gid)
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(descriptor)
        if replace:
            target.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise cannot("written", path, error) from error


def _sync_folder(folder: Path) -> None:
    """Else a power cut just after could take the file that somebody is being shown."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_card(path: Path, text: str) -> Path | None:
    """Write a far station's card; where its earlier one was put, `NAME.card.1` or a later number.

    The log book of the time before is verified with the earlier one.
    """
    earlier = None
    try:
        before = path.read_bytes() if path.exists() else b""
        if before.split() not in ([], text.encode().split()):
            earlier = _place_for(path, before)
    except OSError as error:
        raise cannot("read", path, error) from error
    if earlier is not None and not earlier.exists():
        write_new(earlier, before, mode=PUBLIC_MODE)
    write_new(path, text, mode=PUBLIC_MODE, replace=True)
    return earlier


def _place_for(path: Path, octets: bytes) -> Path:
    """The first that is free, or holds the same since a try that came to no end."""
    numbered = (path.with_name(f"{path.name}.{number}") for number in itertools.count(1))
    return next(it for it in numbered if not it.exists() or it.read_bytes() == octets)


def earlier_words(earlier: Path) -> str:
    return f"earlier card  {earlier}: keep it, `hotline log verify` asks for it"


def read_text_file(path: Path, *, private: bool = False) -> str:
    """A small UTF-8 file. `private`: refused when the group or others may read it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            octets = file.read(FILE_SIZE_MAX + 1)
    except OSError as error:
        raise cannot("read", path, error) from error
    if private and mode & 0o077:
        raise CommandError(
            ExitCode.CONFIGURATION,
            f"{path} may be read by others (mode {mode:04o}); run: chmod 600 {path}",
        )
    if len(octets) > FILE_SIZE_MAX:
        raise CommandError(
            ExitCode.USAGE, f"{path} has more than {FILE_SIZE_MAX} octets; name the right file"
        )
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise CommandError(
            ExitCode.USAGE, f"{path} is not UTF-8 text; name the right file"
        ) from error


def read_argument(argument: str, *, prefix: str) -> str:
    """A text given as itself (it begins with `prefix`), as a file's path, or as `-`."""
    if argument == "-":
        return sys.stdin.read(FILE_SIZE_MAX)
    if argument.upper().startswith(prefix):
        return argument
    return read_text_file(Path(argument))


def configured_key_file(common: Common) -> Path:
    """Where the station's key is: as the configuration says, else the default.

    Where no configuration is yet, it is beside that, as cards and secrets are.
    """
    try:
        text = common.config_path.read_text(encoding="utf-8")
        value = tomllib.loads(text).get("station", {}).get("key_file")
    except FileNotFoundError:
        return common.config_path.absolute().with_name(KEY_FILE_DEFAULT.name)
    except OSError as error:
        raise cannot("read", common.config_path, error) from error
    except (ValueError, AttributeError) as error:
        raise CommandError(
            ExitCode.CONFIGURATION,
            f"{common.config_path} cannot be read; see `hotline config check`, or name the key "
            "file with --file",
        ) from error
    return Path(value) if isinstance(value, str) else KEY_FILE_DEFAULT


def cannot(done: str, path: Path, error: OSError) -> CommandError:
    """The sentence for a file that cannot be read or written."""
    code = ExitCode.NOT_FOUND if isinstance(error, FileNotFoundError) else ExitCode.FORBIDDEN
    remedy = (
        "check the path"
        if code is ExitCode.NOT_FOUND
        else "check the path, the space on the disk, and whether this user may (sudo)"
    )
    return CommandError(code, f"{path} cannot be {done} ({error.strerror}); {remedy}")
