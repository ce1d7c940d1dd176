"""Who is at the other end of a connection: the kernel says it (SO_PEERCRED), never the body."""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.core.events import Principal, Rights
from gateway.model import Operation, Precedence, Role

ADAPTER: Final = "api"
EVERYTHING: Final = Rights(frozenset(Operation), Precedence.FLASH, answer=True)
NOTHING: Final = Rights(frozenset(), Precedence.ROUTINE, answer=False)

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


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
