"""The HTTP API on a Unix socket. Owns the socket, its connections and their bounds.

Who may connect is a matter of the socket's mode and group; what a user may do, of `peer`. Every
fault of a client ends in a clear refusal or a closed connection, and never reaches the daemon.
"""

from __future__ import annotations

import asyncio
import grp
import os
import socket
import stat
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from gateway.api.connection import ApiLimits, ClientGoneError, Connection, Request
from gateway.api.feed import read_feed, stream_events
from gateway.api.peer import Peer, Users
from gateway.api.problem import ProblemError, store_refused
from gateway.api.routes import Clock, Office, handle, too_many
from gateway.api.spare import Spare
from gateway.core.effects import Status
from gateway.core.events import Principal
from gateway.errors import ConfigError, StoreRefusedError
from gateway.queues.base import Desk
from gateway.store.base import Store

SOCKET_MODE: Final = 0o660
PATH_SIZE_MAX: Final = 107
"""Octets of a Unix socket's path (sun_path without its final NUL)."""
ACCEPT_PAUSE_S: Final = 0.2
"""After a failed accept (no file descriptors left)."""

Panel = Callable[[Status], Mapping[str, object]]


class ApiServer:
    """Serves desk and store on `socket_path`.

    `users` gives the rights by user name; root and the daemon's own user may do everything unless
    they are named there; others may look. `clock` and `boot_id` are those of runtime/clock.py.
    `panel` adds to the status document what the lamps show.
    """

    def __init__(
        self,
        desk: Desk,
        store: Store,
        socket_path: Path,
        users: Mapping[str, Principal],
        *,
        clock: Clock,
        boot_id: str,
        group: str | None = None,
        limits: ApiLimits | None = None,
        panel: Panel | None = None,
        spare: Spare | None = None,
    ) -> None:
        self._limits = limits or ApiLimits()
        self._office = Office(desk, store, clock, boot_id, self._limits, panel, spare)
        self._path = socket_path
        self._group = group
        self._users = Users(users)
        self._connection_count = 0
        """All that are open, those that are being refused too."""
        self._open: Counter[str] = Counter()
        """The same by user."""
        self._admitted: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()
        self._listener: socket.socket | None = None

    def open(self) -> None:
        """Take the socket; after this, clients can connect. Raises `ConfigError`.

        A dead gateway's socket is taken over; a living one's, of another state folder, never.
        """
        self._listener = _listen(self._path, self._group)

    async def run(self) -> None:
        """Serve until cancelled; opens the socket if `open` was not called. Removes it at the end.

        Raises `ConfigError` when the socket cannot be made.
        """
        if self._listener is None:
            self.open()
        assert self._listener is not None
        try:
            async with asyncio.TaskGroup() as group:
                await self._accept_all(self._listener, group)
        finally:
            self._listener.close()
            self._listener = None
            with suppress(OSError):
                self._path.unlink()

    async def _accept_all(self, listener: socket.socket, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listener)
            except OSError:
                # The client is gone already, or descriptors are short: others go on.
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            group.create_task(self._serve(accepted))

    async def _serve(self, accepted: socket.socket) -> None:
        """One client from accept to close; never raises for what a client does."""
        try:
            peer = self._users.peer(accepted)
            reader, writer = await asyncio.open_unix_connection(
                sock=accepted, limit=self._limits.header_size_max
            )
        except OSError:
            accepted.close()
            return
        connection = Connection(reader, writer, self._limits)
        limits, user = self._limits, peer.principal.user
        if (
            self._connection_count >= 2 * limits.connection_count_max
            or self._open[user] >= 2 * limits.user_connection_count_max
        ):
            connection.abort()  # refusing politely costs a descriptor for a while
            return
        self._connection_count += 1
        self._open[user] += 1
        try:
            await self._admit(connection, peer)
        except ClientGoneError:
            connection.abort()
        finally:
            self._connection_count -= 1
            self._open -= Counter([user])
            await connection.close()

    async def _admit(self, connection: Connection, peer: Peer) -> None:
        limits, user = self._limits, peer.principal.user
        count = None
        if self._admitted[user] >= limits.user_connection_count_max:
            count = f"{limits.user_connection_count_max} connections of {user}"
        elif self._admitted.total() >= limits.connection_count_max:
            count = f"{limits.connection_count_max} connections"
        if count is not None:
            problem = f"{count} are open already"
            remedy = "close some of yours, or try again a little later"
            await connection.refuse(too_many(problem, remedy, close=True))
            await connection.linger()
            return
        self._admitted[user] += 1
        try:
            await self._converse(connection, peer)
        finally:
            self._admitted -= Counter([user])

    async def _converse(self, connection: Connection, peer: Peer) -> None:
        while True:
            try:
                request = await connection.next_request()
                if request is None:
                    return
                await self._answer(connection, request, peer)
            except ProblemError as problem:
                await connection.refuse(problem)
                if problem.close:
                    await connection.linger()
                    return
            except StoreRefusedError as error:
                await connection.refuse(store_refused(str(error)))

    async def _answer(self, connection: Connection, request: Request, peer: Peer) -> None:
        if request.path == "/v1/events":
            async with self._stream(peer):
                await stream_events(self._office, request, connection)
        elif request.path == "/v1/notices" and request.method == "GET":
            if request.query.get("wait", "0") == "0":
                response = await read_feed(self._office, request, connection)
            else:
                async with self._stream(peer):
                    response = await read_feed(self._office, request, connection)
            await connection.respond(response)
        else:
            await connection.respond(await handle(self._office, request, peer))

    @asynccontextmanager
    async def _stream(self, peer: Peer) -> AsyncIterator[None]:
        """Count a connection that waits. Raises `ProblemError` at the bound."""
        limits, user = self._limits, peer.principal.user
        remedy = "close some of yours, or ask without waiting"
        if self._streams[user] >= limits.user_stream_count_max:
            count = f"{limits.user_stream_count_max} streams and long polls of {user}"
            raise too_many(f"{count} are open already", remedy)
        if self._streams.total() >= limits.stream_count_max:
            count = f"{limits.stream_count_max} streams and long polls"
            raise too_many(f"{count} are open already", remedy)
        self._streams[user] += 1
        try:
            yield
        finally:
            self._streams -= Counter([user])


def _listen(path: Path, group: str | None) -> socket.socket:
    """A listening socket with its mode and group from the first moment. Raises `ConfigError`."""
    if len(os.fsencode(path)) > PATH_SIZE_MAX:
        raise ConfigError(
            [f"{path}: has more than {PATH_SIZE_MAX} octets; choose a shorter runtime_folder"]
        )
    group_id = -1 if group is None else _group_id(group)
    try:
        _remove_dead_socket(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _bind(listener, path, group_id)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or "not possible"
        raise ConfigError(
            [f"{path}: the API's socket cannot be made ({reason}); check runtime_folder and group"]
        ) from error
    listener.setblocking(False)
    return listener


def _bind(listener: socket.socket, path: Path, group_id: int) -> None:
    # The file must never exist with a wider mode than it shall have.
    umask = os.umask(0o777 & ~SOCKET_MODE)
    try:
        listener.bind(os.fspath(path))
    finally:
        os.umask(umask)
    if group_id not in (-1, path.stat().st_gid):
        os.chown(path, -1, group_id)  # our unit allows no change of an owner, and needs none
    listener.listen(64)


def _group_id(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise ConfigError(
            [f"api.group: there is no group {group!r}; create it or leave the option out"]
        ) from error


def _remove_dead_socket(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError([f"{path}: is there and is no socket; move it away"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # Its queue is full: someone listens.
    what = f"{path}: another gateway listens there"
    raise ConfigError([f"{what}; give this one a runtime_folder of its own, or stop the other"])
