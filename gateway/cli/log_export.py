"""`hotline log export`: the log book for print, for programs, or as it is for `log verify`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import click

from gateway.cli.connection import connect
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.keyfiles import PRIVATE_MODE, cannot
from gateway.cli.lines import configured_cards
from gateway.cli.log_files import find_book, read_cards, read_chunks
from gateway.cli.options import Common, api_options, language_option
from gateway.cli.output import warn
from gateway.cli.text import DTG_UNKNOWN, indented, visible
from gateway.model import DeliveryState, Station

if TYPE_CHECKING:
    from gateway.logbook.segment import Record
    from gateway.model import Act
    from gateway.security.cards import Card

PAGE: Final = 500
_PATH: Final = click.Path(path_type=Path, readable=False)
ACT_PROOF: Final = "signed act: its signature proves to anybody who said it"
RECEIPT_PROOF: Final = "receipt: proves nothing to others, both gateways could have made it"
OWN_PROOF: Final = "own record: proves nothing to others beyond the signed head of this book"
_RECEIPTS: Final = frozenset(
    {
        DeliveryState.RELAYED.value,
        DeliveryState.RECEIPTED.value,
        DeliveryState.DISPLAYED.value,
        DeliveryState.EXPIRED_RECEIPTED.value,
    }
)
"""States that rest on what nobody signed."""


@click.command("export")
@click.argument("source", metavar="[FILE]", type=_PATH, required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "jsonl", "cbor"]),
    default="text",
    show_default=True,
    help="For print; JSON Lines; or as it is, for `hotline log verify`.",
)
@click.option("-o", "--output", type=_PATH, help="A new file.  [default: standard output]")
@click.option(
    "--card",
    "cards",
    multiple=True,
    metavar="CARD",
    help="A station's card: names it; repeat it.  [default: those of the configuration]",
)
@language_option
@api_options
def export(
    common: Common,
    source: Path | None,
    form: str,
    output: Path | None,
    cards: tuple[str, ...],
    language: str,
) -> None:
    """Write the whole log book out, from the gateway or from FILE (as in `log verify`).

    Each entry says what it proves to a third party: a signed act does, a receipt does not.
    Export checks no signature; `hotline log verify` does.
    """
    if common.json and form == "text":
        form = "jsonl"
    if form == "cbor" and output is None and sys.stdout.isatty():
        raise CommandError(ExitCode.USAGE, "cbor is not for a screen; name a file with --output")
    names = {station: known[0] for station, known in read_cards(cards).items()}
    if source is None:
        names = configured_cards(common) | names
    count = 0
    with _opened(output) as file, _book(common, source) as (head, records):
        for record in records:
            count += 1
            file.write(_WRITERS[form](record, names, language))
    if head is not None and output is not None and form == "cbor":
        # `log verify` looks for it under this name.
        output.with_name(f"{output.name}.head").write_bytes(head)
    if output is not None:
        warn(f"{count} entries written to {output}")


@contextmanager
def _book(common: Common, source: Path | None) -> Iterator[tuple[bytes | None, Iterator[Record]]]:
    """(signed head, records). The head comes first: entries may be written meanwhile."""
    if source is not None:
        head = find_book(source).head
        yield head.read_bytes() if head.exists() else None, _from_files(source)
        return
    with connect(common) as gateway:
        yield gateway.log_head(), _from_gateway(gateway)


def _from_files(source: Path) -> Iterator[Record]:
    from gateway.logbook.segment import Damage, blocks, read_items

    is_empty = True
    for path in find_book(source).files:
        for offset, octets in blocks(read_chunks(path)):
            for found in read_items(octets, offset=offset):
                if isinstance(found, Damage):
                    warn(f"{path}: {found.size} octets at {found.offset} are no entry; left out")
                else:
                    is_empty = False
                    yield found.record
    if is_empty:
        raise CommandError(ExitCode.USAGE, f"{source} holds no entry of a log book")


def _from_gateway(gateway: Any) -> Iterator[Record]:  # noqa: ANN401 (a double in tests)
    from gateway.logbook.segment import Record

    after = 0
    while entries := gateway.log(after, PAGE):
        for entry in entries:
            octets, entry_hash = bytes.fromhex(entry["octets"]), bytes.fromhex(entry["hash"])
            yield Record(int(entry["number"]), octets, entry_hash, 0)
        after = int(entries[-1]["number"])


@contextmanager
def _opened(output: Path | None) -> Iterator[IO[bytes]]:
    if output is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        # Notices are in it: private, as a backup is, until somebody opens it to others.
        file = output.open("xb")
        output.chmod(PRIVATE_MODE)
    except FileExistsError as error:
        raise CommandError(
            ExitCode.CONFLICT, f"{output} exists and is not overwritten; name another file"
        ) from error
    except OSError as error:
        raise cannot("written", output, error) from error
    try:
        with file:
            yield file
    except OSError as error:
        output.unlink(missing_ok=True)
        raise cannot("written", output, error) from error
    except BaseException:
        output.unlink(missing_ok=True)
        raise


def _cbor(record: Record, _cards: dict[Station, Card], _language: str) -> bytes:
    from gateway.logbook.segment import encode_record

    return encode_record(record.octets, record.hash, record.next_offset)


def _json_line(record: Record, cards: dict[Station, Card], _language: str) -> bytes:
    from gateway.api.documents import log_row_document
    from gateway.store.base import LogRow

    entry = record.entry
    act = _act_document(record, cards)
    document = log_row_document(LogRow(record.number, record.octets, record.hash)) | {
        "proof": _proof(record).partition(":")[0],
        "signature": None if entry.signature is None else entry.signature.hex(),
        "content": act,
    }
    return (json.dumps(document, ensure_ascii=True) + "\n").encode()


def _text(record: Record, cards: dict[Station, Card], language: str) -> bytes:
    """An entry as a block of lines, with its hash last."""
    from gateway.cli.view import body_text, phrase_code, place_text, time_text
    from gateway.wire.document import dtg

    entry = record.entry
    when = dtg(entry.utc) or DTG_UNKNOWN
    quality = "" if entry.utc is None else f" ({entry.time_quality.name.lower()})"
    fields = "  ".join(
        f"{name}={value.hex() if isinstance(value, bytes) else value}"
        for name, value in entry.fields
    )
    lines = [f"{record.number:>7}  {when}{quality}  {visible(entry.event)}  {visible(fields)}"]
    act = _act_document(record, cards)
    if act is not None:
        what = act.get("answer") or act.get("kind")
        head = [what, act.get("precedence"), act.get("operation"), act.get("id")]
        lines.append(visible("         " + " ".join(str(word) for word in head if word)))
        about = f"{act.get('from')} to {act.get('to')}, made {act.get('dtg') or DTG_UNKNOWN}"
        if act.get("reference"):
            about += f", about {act['reference']}"
        lines.append(visible(f"         {about}"))
        if act.get("place"):
            lines.append(f"         place {place_text(act['place'])}")
        if act.get("window"):
            window = act["window"]
            lines.append(
                f"         window {time_text(window['from'])} to {time_text(window['to'])}"
            )
        body = body_text(act, language)
        if body:
            lines.append(indented(body, "         | "))
            if phrase_code(act):
                lines.append(visible(f"         {phrase_code(act)}"))
    lines.append(f"         {_proof(record)}")
    lines.append(f"         {record.hash.hex()}")
    return ("\n".join(lines) + "\n\n").encode("utf-8", "backslashreplace")


_WRITERS: Final = {"text": _text, "jsonl": _json_line, "cbor": _cbor}


def _proof(record: Record) -> str:
    entry = record.entry
    if entry.is_line:
        return ACT_PROOF if entry.signature is not None else OWN_PROOF
    return RECEIPT_PROOF if entry.field("state") in _RECEIPTS else OWN_PROOF


def _act_document(record: Record, cards: dict[Station, Card]) -> dict[str, Any] | None:
    """What a signed act says; None: no act, or one that cannot be read here."""
    from gateway.errors import DecodeError
    from gateway.logbook.entry import ADDRESSEE_FIELD
    from gateway.wire.notice import decode_act

    entry = record.entry
    to = entry.field(ADDRESSEE_FIELD)
    if entry.octets is None or entry.act_id is None or not isinstance(to, int):
        return None
    try:
        act = decode_act(entry.octets, originator=entry.act_id.originator, to=Station(to))
    except DecodeError:
        return None
    return _document_of(act, {station: card.name for station, card in cards.items()})


def _document_of(act: Act, names: dict[Station, str]) -> dict[str, Any]:
    from gateway.model import Answer, Notice
    from gateway.wire.document import (
        answer_document,
        body_document,
        dtg,
        place_document,
        station_text,
        window_document,
    )

    document: dict[str, Any] = {
        "id": str(act.id),
        "from": station_text(names, act.id.originator),
        "to": station_text(names, act.to),
        "dtg": dtg(act.created),
        "precedence": act.precedence.name,
        "operation": act.operation.name,
    }
    if isinstance(act, Answer):
        document |= {"reference": str(act.reference)} | answer_document(act)
    elif isinstance(act, Notice):
        document |= {
            "kind": act.kind.name,
            "released_by": act.released_by.name.lower(),
            "reference": None if act.reference is None else str(act.reference),
            "place": None if act.place is None else place_document(act.place),
            "window": None if act.window is None else window_document(act.window),
        } | body_document(act.body)
    else:
        document["kind"] = "VOID"
    return document
