"""The memory of a person's word in the state folder: which of the two this gateway is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from gateway.core.claim import Memory, Wish
from gateway.runtime.clock import KernelSources
from gateway.store.folder import sync_folder, write_whole

FILE_NAME: Final = "spare.json"


def remembered(folder: Path, name: str) -> Memory:
    """What this gateway was; a file of another name came with a copied card and says nothing.

    Its last run has surely ended only where this is the same folder in the same boot: the lock of
    the folder is ours now.
    """
    try:
        document = msgspec.json.decode((folder / FILE_NAME).read_bytes(), type=dict[str, object])
        if document.get("name") != name:
            return Memory()
        is_here = document.get("place") == _place_of(folder)
        return Memory(
            by_hand=document.get("by_hand") is True,
            wish=_wish_of(document.get("wish"), is_here=is_here),
            wait_ms=msgspec.convert(document.get("wait_ms", 0), int),
            term=msgspec.convert(document["term"], int),
            run=msgspec.convert(document.get("run", ""), str) if is_here else "",
            resume_count=msgspec.convert(document.get("resume_count", 0), int) if is_here else 0,
        )
    except (OSError, KeyError, msgspec.MsgspecError):
        return Memory()


def _wish_of(document: object, *, is_here: bool) -> Wish | None:
    """Only in the boot in which it was said is the time of that one of our clock."""
    if document is None:
        return None
    wish = msgspec.convert(document, Wish)
    return Wish(wish.said_at if is_here else None, wish.other_is_off, wish.revision)


def _place_of(folder: Path) -> str:
    """Of this boot and this very folder: no copy has the same."""
    status = folder.stat()
    return f"{KernelSources().boot_id()} {status.st_dev} {status.st_ino}"


def remember(folder: Path, name: str, memory: Memory) -> None:
    """On the disk when this returns. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    document = {
        "name": name,
        "by_hand": memory.by_hand,
        "wish": memory.wish,
        "wait_ms": memory.wait_ms,
        "term": memory.term,
        "run": memory.run,
        "resume_count": memory.resume_count,
        "place": _place_of(folder),
    }
    write_whole(folder / FILE_NAME, msgspec.json.encode(document))


def forget(folder: Path) -> None:
    """Nobody made it the active one. Raises `OSError`."""
    (folder / FILE_NAME).unlink(missing_ok=True)
    sync_folder(folder)
