"""The append-only copy of the log book in `logbook/NNNN.cborseq`, one MiB a file.

The database is the book; this is what it is rebuilt from. Nothing here is ever rewritten.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from gateway.logbook.head import HEAD_FILE, HEAD_SIZE_MAX, SEGMENT_SUFFIX
from gateway.logbook.segment import Found, Record, encode_record, read_items, read_records
from gateway.store.folder import numbers_of, sync_folder

SEGMENT_SIZE_MAX: Final = 1024 * 1024
OTHER_COUNT_MAX: Final = 3
"""Folders of files set aside that stay, the first and the newest: each whole store from the other
gateway makes one, and no number of foreign ones drives out the book that was here before."""


class Segments:
    """The files of one state folder. Every method may raise `OSError`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(exist_ok=True, mode=0o750)
        self._descriptor: int | None = None
        self._size = 0
        self.is_dirty = False
        """Something was appended since the last `sync`."""

    def files(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{SEGMENT_SUFFIX}"), key=lambda path: int(path.stem))

    def records(self) -> Iterator[Record]:
        """All that can be read, ascending by number; repeats and older histories left out."""
        number = 0
        for path in self.files():
            for record in read_records(path.read_bytes()):
                if record.number > number:
                    number = record.number
                    yield record

    def tail(self) -> tuple[list[Record], bool]:
        """The records of the newest file that is not empty, and whether they are all of it."""
        for path in reversed(self.files()):
            found = list(read_items(path.read_bytes()))
            if found:
                records = [item.record for item in found if isinstance(item, Found)]
                return records, len(records) == len(found)
        return [], True

    def append(self, records: Sequence[Record]) -> None:
        """Write, not yet flushed. After an error a part may stay; readers skip what is torn."""
        octets = b"".join(
            encode_record(record.octets, record.hash, record.next_offset) for record in records
        )
        if self._descriptor is None or self._size + len(octets) > SEGMENT_SIZE_MAX:
            self._open_next()
        assert self._descriptor is not None
        written = 0
        while written < len(octets):
            written += os.write(self._descriptor, octets[written:])
        self._size += written
        self.is_dirty = True

    def sync(self) -> None:
        """Flush to the medium."""
        if self._descriptor is not None and self.is_dirty:
            os.fdatasync(self._descriptor)
        self.is_dirty = False

    def head(self) -> bytes | None:
        """The signed head of the run before; None: there is none. Not longer than one can be."""
        try:
            with (self._folder / HEAD_FILE).open("rb") as file:
                return file.read(HEAD_SIZE_MAX)
        except FileNotFoundError:
            return None

    def put_head(self, octets: bytes) -> None:
        """Put the signed head beside the files, whole or not at all; the one before it goes."""
        path = self._folder / HEAD_FILE
        new = path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        try:
            os.write(descriptor, octets)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        new.replace(path)

    def abandon(self) -> Path | None:
        """Set all files aside (they tell another history than the database); where they are now.

        None: there is nothing in them.
        """
        self.close()
        if not any(path.stat().st_size for path in self.files()):
            return None
        target = self._free_name("other")
        self._folder.rename(target)
        self._folder.mkdir(mode=0o750)
        for number in numbers_of(self._folder, "other")[1 : 1 - OTHER_COUNT_MAX]:
            shutil.rmtree(self._named("other", number), ignore_errors=True)
        sync_folder(self._folder.parent)
        return target

    def begin(self) -> None:
        """Have a file, an empty one: what is missing here, nobody took away."""
        if not self.files():
            self._open_next()

    def set_aside_newest(self) -> Path:
        """Move the newest file that is not empty away; where it is now."""
        self.close()
        path = next(path for path in reversed(self.files()) if path.stat().st_size)
        target = self._free_name("torn")
        target.mkdir(mode=0o750)
        path.rename(target / path.name)
        sync_folder(target)
        sync_folder(self._folder)
        sync_folder(self._folder.parent)
        return target / path.name

    def _free_name(self, tag: str) -> Path:
        numbers = numbers_of(self._folder, tag)
        return self._named(tag, numbers[-1] + 1 if numbers else 1)

    def _named(self, tag: str, number: int) -> Path:
        return self._folder.with_name(f"{self._folder.name}.{tag}-{number}")

    def close(self) -> None:
        if self._descriptor is not None:
            self.sync()
            os.close(self._descriptor)
            self._descriptor = None

    def _open_next(self) -> None:
        """Go on in the newest file if it has room, else in a new one."""
        files = self.files()
        if self._descriptor is None and files and files[-1].stat().st_size < SEGMENT_SIZE_MAX // 2:
            path = files[-1]
        else:
            path = self._folder / f"{int(files[-1].stem) + 1 if files else 1:04}{SEGMENT_SUFFIX}"
        self.close()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o640)
        self._size = os.fstat(self._descriptor).st_size
        sync_folder(self._folder)
