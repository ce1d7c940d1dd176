"""`hotline log verify`: one log book on trial, or two of a line against each other."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.log_files import BookFiles, find_book, read_cards, read_chunks, read_head
from gateway.cli.options import Common, plain_options
from gateway.cli.output import print_json, say

if TYPE_CHECKING:
    from gateway.logbook.audit import Book, Finding
    from gateway.logbook.comparison import Comparison
    from gateway.logbook.examine import Cards, Part
    from gateway.model import Station
    from gateway.security.cards import Card

POOL_SIZE_MIN: Final = 2 * 1024 * 1024
"""Octets of books from which on processes are worth their start."""
_PATH: Final = click.Path(path_type=Path, readable=False)
ONE_BOOK: Final = (
    "One book alone does not tell whether entries were cut off its end, or whether its holder "
    "wrote all of it anew: verify it against the far side's book."
)
RECEIPTS: Final = (
    "A signed act proves to anybody who said it. A machine receipt proves nothing to others: "
    "both gateways could have made it."
)

EARLIER_CARD: Final = (
    "An act that a station did not sign with the keys of the cards given may be of its earlier "
    "keys: give its earlier card too, where its keys were changed. --replace kept that as "
    "NAME.card.1 beside the newer one."
)


@click.command("verify")
@click.argument("file", type=_PATH)
@click.argument("other", type=_PATH, required=False)
@click.option(
    "--card",
    "cards",
    multiple=True,
    metavar="CARD",
    help="A station's card, a file or its text; repeat it: both stations of the line, and earlier"
    " cards of one whose keys changed.",
)
@plain_options
def verify(common: Common, file: Path, other: Path | None, cards: tuple[str, ...]) -> None:
    """Check a log book, or two of one line against each other. Needs no gateway and no key.

    FILE and OTHER are each a state folder, its logbook folder, or what `hotline log export` wrote.
    Checked are the hash chain, the numbers, every signed act against its originator's card, the
    serials, and the signed head. With both sides' books, each is the other's witness. Take both
    copies while nothing is under way.

    Exit code 0: nothing wrong was found; 1: something was, and the first of it is named.
    """
    from gateway.logbook.comparison import can_compare, compare

    known = read_cards(cards)
    files = [find_book(path) for path in (file, other) if path is not None]
    books = _audit_all(files, known)
    comparison = None
    if len(books) == 2:
        problem = can_compare(*books)
        if problem is not None:
            raise CommandError(
                ExitCode.USAGE, f"{problem}; give the books of both stations of a line"
            )
        missing = [str(book.owner) for book in books if book.owner not in known]
        if missing:
            raise CommandError(
                ExitCode.USAGE,
                f"the signatures of station {' and '.join(missing)} cannot be checked; give both "
                "cards with --card",
            )
        comparison = compare(*books)
    findings = [finding for book in books for finding in book.findings]
    findings += comparison.findings if comparison else []
    findings.sort(key=lambda finding: finding.place)
    if common.json:
        print_json(_document(books, comparison, findings, known))
    else:
        _print(books, comparison, findings, known)
    if findings:
        raise click.exceptions.Exit(ExitCode.FAILED)


def _audit_all(files: list[BookFiles], cards: Cards) -> list[Book]:
    try:
        size = sum(book.size() for book in files)
    except OSError as error:
        raise CommandError(
            ExitCode.NOT_FOUND,
            f"{error.filename} cannot be read ({error.strerror}); check the path",
        ) from error
    workers = os.cpu_count() or 1
    if size < POOL_SIZE_MIN or workers == 1:
        return [_audit(book, cards, None) for book in files]
    with ProcessPoolExecutor(workers, initializer=_start_worker, initargs=_plain(cards)) as pool:
        return [_audit(book, cards, pool) for book in files]


def _audit(files: BookFiles, cards: Cards, pool: ProcessPoolExecutor | None) -> Book:
    from gateway.logbook.audit import BookAudit

    audit = BookAudit(files.label)
    for name, part in _parts(files, cards, pool):
        audit.add(part, file=name)
    book = audit.finish(cards, read_head(files))
    if not book.count:
        raise CommandError(
            ExitCode.USAGE,
            f"{files.label} holds no entry of a log book; name a state folder, its logbook folder, "
            "or what `hotline log export --format cbor` wrote",
        )
    return book


def _parts(
    files: BookFiles, cards: Cards, pool: ProcessPoolExecutor | None
) -> Iterator[tuple[str, Part]]:
    """What is found in each stretch of the book, in its order."""
    from gateway.logbook.examine import examine
    from gateway.logbook.segment import blocks

    waiting: deque[tuple[str, Future[Part]]] = deque()
    for path in files.files:
        for offset, octets in blocks(read_chunks(path)):
            if pool is None:
                yield str(path), examine(octets, offset, cards)
                continue
            waiting.append((str(path), pool.submit(_examine, octets, offset)))
            if len(waiting) > 2 * (os.cpu_count() or 1):
                name, done = waiting.popleft()
                yield name, done.result()
    for name, done in waiting:
        yield name, done.result()


_worker_cards: dict[Any, list[Card]] = {}
"""Of a worker process: a card's prepared key cannot be sent with each stretch."""


def _plain(cards: Cards) -> tuple[list[tuple[Any, ...]]]:
    return (
        [
            (
                card.station,
                card.name,
                card.party,
                card.language,
                card.sign_public,
                card.exchange_public,
            )
            for known in cards.values()
            for card in known
        ],
    )


def _start_worker(plain: list[tuple[Any, ...]]) -> None:
    from gateway.security.cards import Card

    for parts in plain:
        _worker_cards.setdefault(parts[0], []).append(Card(*parts))


def _examine(octets: bytes, offset: int) -> Part:
    from gateway.logbook.examine import examine

    return examine(octets, offset, _worker_cards)


def _unchecked(books: list[Book], cards: Cards) -> bool:
    """Whether a card is missing: what it signed was then taken as it stands."""
    return any(book.unchecked or book.owner not in cards for book in books)


def _document(
    books: list[Book], comparison: Comparison | None, findings: list[Finding], cards: Cards
) -> dict[str, object]:
    return {
        "verdict": "wrong" if findings else "unchecked" if _unchecked(books, cards) else "sound",
        "books": [
            {
                "file": book.label,
                "station": book.owner,
                "name": _name(book.owner, cards),
                "entries": book.count,
                "acts": book.line_count,
                "acts_unchecked": sum(book.unchecked.values()),
                "signed_head": None if book.head is None else book.head.number,
                "findings": book.finding_count,
            }
            for book in books
        ],
        "acts_in_both": None if comparison is None else comparison.shared_count,
        "findings": [
            {
                "code": finding.code,
                "party": finding.party,
                "name": _name(finding.party, cards),
                "entry": finding.entry,
                "until": finding.until,
                "act": None if finding.act_id is None else str(finding.act_id),
                "sentence": finding.sentence,
                "proof": finding.proof,
            }
            for finding in findings
        ],
        "notes": _notes(books, comparison, findings),
    }


def _notes(books: list[Book], comparison: Comparison | None, findings: list[Finding]) -> list[str]:
    notes = [note for book in books for note in book.notes]
    notes += comparison.notes if comparison else [ONE_BOOK]
    if any(finding.code == "signature" for finding in findings):
        notes.append(EARLIER_CARD)
    return [*notes, RECEIPTS]


def _print(
    books: list[Book], comparison: Comparison | None, findings: list[Finding], cards: Cards
) -> None:
    for book in books:
        checked = book.line_count - sum(book.unchecked.values())
        head = "no signed head" if book.head is None else f"signed head at {book.head.number}"
        say(
            f"{book.label}: book of {_name(book.owner, cards) or 'an unknown station'}, "
            f"{book.count} entries, {book.line_count} signed acts ({checked} checked), {head}"
        )
    if comparison is not None:
        say(f"{comparison.shared_count} acts stand in both books, alike")
    for finding in findings:
        say(f"WRONG {finding.sentence}")
        say(f"      party: {_name(finding.party, cards) or 'unknown'}")
        if finding.proof is not None:
            say(f"      proof: {finding.proof}")
    count = sum(book.finding_count for book in books)
    left = count + (comparison.finding_count if comparison else 0) - len(findings)
    if left:
        say(f"{left} more findings are not shown")
    for note in _notes(books, comparison, findings):
        say(f"note  {note}")
    if findings:
        say("Something is WRONG.")
    elif _unchecked(books, cards):
        say("Nothing wrong was found in what was checked. Not all was: cards are missing (above).")
    else:
        say("Nothing wrong was found.")


def _name(station: Station | None, cards: Cards) -> str | None:
    if station is None:
        return None
    known = cards.get(station)
    return f"{known[0].name} (station {station})" if known else f"station {station}"
