"""The files of a log book: a folder of segments or one exported file, with its signed head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.keyfiles import cannot, read_argument

if TYPE_CHECKING:
    from gateway.logbook.head import SignedHead
    from gateway.model import Station
    from gateway.security.cards import Card

CARD_PREFIX: Final = "HOTLINE-CARD-"
_CHUNK_SIZE: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class BookFiles:
    """Where a book lies."""

    label: str
    """As the operator named it."""
    files: tuple[Path, ...]
    """In the order of their entries."""
    head: Path
    """Its signed head, which may not be there."""

    def size(self) -> int:
        return sum(path.stat().st_size for path in self.files)


def find_book(path: Path) -> BookFiles:
    """The book at a path: a state folder, its `logbook` folder, a file. Raises `CommandError`."""
    from gateway.logbook.head import HEAD_FILE, SEGMENT_SUFFIX

    if not path.is_dir():
        # Whether it can be read is told where it is.
        return BookFiles(str(path), (path,), path.with_name(f"{path.name}.head"))
    folder = path / "logbook" if (path / "logbook").is_dir() else path
    segments = [found for found in folder.glob(f"*{SEGMENT_SUFFIX}") if found.stem.isdecimal()]
    if not segments:
        raise CommandError(
            ExitCode.NOT_FOUND,
            f"{path} holds no segment of a log book (*{SEGMENT_SUFFIX}); name the state folder of "
            "the gateway, its logbook folder, or an exported file",
        )
    segments.sort(key=lambda found: int(found.stem))
    return BookFiles(str(path), tuple(segments), folder / HEAD_FILE)


def read_chunks(path: Path) -> Iterator[bytes]:
    """The octets of a file, in pieces. Raises `CommandError`."""
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_SIZE):
                yield chunk
    except OSError as error:
        raise cannot("read", path, error) from error


def read_head(book: BookFiles) -> SignedHead | None:
    """The signed head beside a book; None: there is none. Raises `CommandError`."""
    from gateway.errors import DecodeError
    from gateway.logbook.head import HEAD_SIZE_MAX, decode_head

    try:
        with book.head.open("rb") as file:
            octets = file.read(HEAD_SIZE_MAX + 1)
        return decode_head(octets)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot("read", book.head, error) from error
    except DecodeError as error:
        raise CommandError(
            ExitCode.FAILED,
            f"{book.head} is not the signed head of a log book ({error}); if you have no other "
            "copy, move it away and verify without it",
        ) from error


def read_cards(arguments: tuple[str, ...]) -> dict[Station, list[Card]]:
    """Cards given as files or as their text, by station. Raises `CommandError` or `FieldError`.

    A station that had other keys has more than one; the first given names it.
    """
    from gateway.security.cards import parse_card

    cards: dict[Station, list[Card]] = {}
    for argument in arguments:
        card = parse_card(read_argument(argument, prefix=CARD_PREFIX))
        known = cards.setdefault(card.station, [])
        if card not in known:
            known.append(card)
    return cards
