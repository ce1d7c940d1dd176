"""Who is at the other end of a connection: the kernel says it (SO_PEERCRED), never the body."""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.core.events import Principal, Rights
from gateway.errors import ConfigError
from gateway.model import Operation, Precedence, Role

ADAPTER: Final = "api"
EVERYTHING: Final = Rights(frozenset(Operation), Precedence.FLASH, answer=True)
NOTHING: Final = Rights(frozenset(), Precedence.ROUTINE, answer=False)

ID_MAP_PATH: Final = Path("/proc/self/uid_map")
"""Which users this process can tell apart (user_namespaces(7))."""

_CREDENTIALS: Final = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Peer:
    """A user with rights. `is_known`: configured, root, or the daemon's own user."""

    principal: Principal
    is_known: bool
    may_name_any_role: bool
    """Root and the daemon's own user may release for any role, unless configured."""


class Users:
    """Rights by user name. `configured` has precedence over the defaults."""

    def __init__(self, configured: Mapping[str, Principal]) -> None:
        self._configured = dict(configured)
        self._own_uid = os.getuid()

    def peer(self, connection: socket.socket) -> Peer:
        """The user of a connected Unix socket."""
        octets = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _pid, uid, _gid = _CREDENTIALS.unpack(octets)
        return self.of_uid(uid)

    def of_uid(self, uid: int) -> Peer:
        name = _user_name(uid)
        principal = self._configured.get(name)
        if principal is not None:
            return Peer(principal, is_known=True, may_name_any_role=False)
        if uid in (0, self._own_uid):
            all_rights = Principal(ADAPTER, name, Role.DUTY_OFFICER, EVERYTHING)
            return Peer(all_rights, is_known=True, may_name_any_role=True)
        stranger = Principal(ADAPTER, name, Role.AUTOMATIC, NOTHING)
        return Peer(stranger, is_known=False, may_name_any_role=False)


def refuse_unmapped_users(names: Sequence[str], id_map: Path = ID_MAP_PATH) -> None:
    """Raise `ConfigError` where the kernel would show a configured user as nobody.

    In a user namespace (`PrivateUsers=` of the unit) that is everyone but root and the service.
    """
    try:
        ranges = [line.split() for line in id_map.read_text(encoding="ascii").splitlines()]
    except OSError:
        return  # a kernel without user namespaces
    problems = []
    for name in names:
        try:
            uid = pwd.getpwnam(name).pw_uid
        except KeyError:
            continue  # nobody yet; whoever gets the name later asks for a restart anyway
        if not any(int(first) <= uid < int(first) + int(count) for first, _, count in ranges):
            problems.append(
                f"[[api.user]] {name}: the service's sandbox cannot tell this user from others; "
                "install the drop-in named-users.conf (/usr/share/hotline-gateway says how), or "
                "let root alone use the API"
            )
    if problems:
        raise ConfigError(problems)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
