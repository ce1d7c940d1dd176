"""`hotline frame`: captured frames as standard COSE, opened where our keys fit."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.keyfiles import PRIVATE_MODE, write_new
from gateway.cli.options import Common, file_options
from gateway.cli.output import print_fields, print_json, say, warn
from gateway.cli.text import visible
from gateway.errors import AuthenticationError, DecodeError

if TYPE_CHECKING:
    from gateway.model import Station
    from gateway.security.cards import Card
    from gateway.security.expand import ExpandedFrame, OpenedFrame
    from gateway.security.keys import KeyRing

INPUT_SIZE_MAX: Final = 1 << 20
INCARNATION_COUNT_MAX: Final = 64
_HEX: Final = frozenset("0123456789abcdefABCDEF \t\r\n:")


@click.command("frame")
@click.argument("captured", metavar="HEX|FILE")
@click.option(
    "--incarnation",
    "incarnations",
    multiple=True,
    metavar="HEX",
    help="Of a sender whose frame does not name it (from a hello or the log); repeat it.",
)
@click.option("--stream", is_flag=True, help="FILE holds what a serial line carried (COBS).")
@click.option(
    "--cose-key",
    "key_path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the COSE_Key that opens this one frame into a new file (mode 0600); it is secret.",
)
@file_options
def command(
    common: Common,
    captured: str,
    incarnations: tuple[str, ...],
    stream: bool,
    key_path: Path | None,
) -> None:
    """Expand a captured frame to standard COSE diagnostic notation (RFC 9052, RFC 8949).

    Give the frame as hexadecimal digits, a file with its octets, a file with one frame in
    hexadecimal a line, or - for standard input. Expanding needs no key. With the station's
    configuration its keys open frames of both directions, and items and signed acts are shown,
    with the public COSE_Key that verifies them.

    gateway/security/README.md of the source shows how other COSE programs open and verify them.
    """
    frames = _frames(captured, stream=stream)
    if key_path is not None and len(frames) > 1:
        raise click.UsageError(f"--cose-key is for one frame; {len(frames)} were given")
    ring = _keyring(common)
    known = [_incarnation(word) for word in incarnations]
    unopened: list[str] = []
    for index, octets in enumerate(frames):
        frame = _expand(octets, index, len(frames))
        if frame.header.incarnation is not None and frame.header.incarnation not in known:
            known = [*known, frame.header.incarnation][-INCARNATION_COUNT_MAX:]
        opened, reason = _open(ring, octets, known)
        if reason:
            unopened.append(reason)
        if key_path is not None:
            _write_key(key_path, opened, reason)
        if common.json:
            print_json(_document(octets, frame, opened, reason, ring))
        else:
            _print(octets, frame, opened, reason, ring)
    if unopened and ring is not None:
        raise CommandError(
            ExitCode.REFUSED, f"{len(unopened)} of {len(frames)} frames not opened: {unopened[0]}"
        )


def _write_key(path: Path, opened: OpenedFrame | None, reason: str) -> None:
    if opened is None:
        raise CommandError(ExitCode.REFUSED, f"{path} is not written: {reason}")
    write_new(path, opened.cose_key, mode=PRIVATE_MODE)


def _frames(captured: str, *, stream: bool) -> list[bytes]:
    """The frames of the argument. Raises `CommandError`."""
    if captured == "-":
        octets = sys.stdin.buffer.read(INPUT_SIZE_MAX + 1)
    elif not stream and _is_hex(captured):
        return [_from_hex(captured)]
    elif not stream and set(captured) <= _HEX and not Path(captured).exists():
        raise CommandError(
            ExitCode.USAGE,
            f"{captured!r} is hexadecimal, but too short for a frame; copy the frame again, whole",
        )
    else:
        octets = _read(Path(captured))
    if len(octets) > INPUT_SIZE_MAX:
        raise CommandError(
            ExitCode.USAGE, f"the input has more than {INPUT_SIZE_MAX} octets; cut a part out"
        )
    if stream:
        return _from_stream(octets)
    text = octets.decode("latin-1")
    if set(text) <= _HEX:
        frames = [_from_hex(line) for line in text.splitlines() if line.strip()]
    else:
        frames = [octets]
    if not frames or not frames[0]:
        raise CommandError(ExitCode.USAGE, "the input is empty; give a frame")
    return frames


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(INPUT_SIZE_MAX + 1)
    except (OSError, ValueError) as error:
        raise CommandError(
            ExitCode.NOT_FOUND,
            f"{str(path)[:80]!r} is neither hexadecimal digits nor a file that can be read; give "
            "the frame as digits or name its file",
        ) from error


def _is_hex(text: str) -> bool:
    return len(text) > 8 and set(text) <= _HEX


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text.replace(":", " "))
    except ValueError as error:
        raise CommandError(
            ExitCode.USAGE, "the hexadecimal digits are not in pairs; copy the frame again, whole"
        ) from error


def _from_stream(octets: bytes) -> list[bytes]:
    from gateway.wire.byte_stream import StreamDecoder

    frames = StreamDecoder().feed(octets)
    if not frames:
        raise CommandError(
            ExitCode.USAGE, "no frame ends in this stream; capture a longer part of it"
        )
    return frames


def _incarnation(word: str) -> bytes:
    octets = _from_hex(word)
    if len(octets) != 8:
        raise CommandError(
            ExitCode.USAGE, f"--incarnation has {len(octets)} octets; give 8, as 16 digits"
        )
    return octets


def _keyring(common: Common) -> KeyRing | None:
    """The station's keys, when a configuration was named or lies in its place."""
    if common.config is None and not common.config_path.exists():
        return None
    from gateway.config.load import load_keyring, load_settings

    return load_keyring(load_settings(common.config_path))


def _expand(octets: bytes, index: int, count: int) -> ExpandedFrame:
    from gateway.security.expand import expand_frame

    try:
        return expand_frame(octets)
    except DecodeError as error:
        which = f"frame {index + 1} of {count}: " if count > 1 else ""
        raise CommandError(
            ExitCode.USAGE,
            f"{which}these {len(octets)} octets are no frame of the hotline ({error}); from a "
            "cable, give the capture with --stream",
        ) from error


def _open(
    ring: KeyRing | None, octets: bytes, incarnations: Sequence[bytes]
) -> tuple[OpenedFrame | None, str]:
    """(the opened frame, "") or (None, why not)."""
    from gateway.security.expand import open_captured

    if ring is None:
        return None, "no configuration with keys; name it with --config"
    try:
        return open_captured(ring, octets, incarnations=incarnations), ""
    except (AuthenticationError, DecodeError) as error:
        return None, str(error)


def _signer(ring: KeyRing, opened: OpenedFrame) -> Card:
    sender = opened.frame.header.sender
    return ring.card if sender == ring.card.station else ring.lines[sender].card


def _verdicts(ring: KeyRing | None, opened: OpenedFrame | None) -> list[str]:
    """Of each signed act: `good` or what is wrong."""
    from gateway.security.signature import verify_act
    from gateway.wire.items import ActItem

    if ring is None or opened is None:
        return []
    card, sender = _signer(ring, opened), opened.frame.header.sender
    verdicts = []
    for item in opened.items:
        if isinstance(item, ActItem) and item.signature is not None:
            try:
                verify_act(
                    card, item.octets, item.signature, originator=sender, to=opened.recipient
                )
                verdicts.append(f"good, of {card.name}")
            except AuthenticationError as error:
                verdicts.append(f"BAD: {error}")
    return verdicts


def _public_key(ring: KeyRing, opened: OpenedFrame) -> bytes:
    from gateway.security.expand import public_cose_key

    return public_cose_key(_signer(ring, opened))


def _document(
    octets: bytes,
    frame: ExpandedFrame,
    opened: OpenedFrame | None,
    reason: str,
    ring: KeyRing | None,
) -> dict[str, object]:
    header = frame.header
    document: dict[str, object] = {
        "octets": octets.hex(),
        "size": len(octets),
        "sender": header.sender,
        "generation": header.generation,
        "counter": header.counter,
        "incarnation": None if header.incarnation is None else header.incarnation.hex(),
        "cose": frame.cose.hex(),
        "diagnostic": frame.diagnostic,
        "opened": opened is not None,
    }
    if opened is None or ring is None:
        return document | {"reason": reason}
    return document | {
        "recipient": opened.recipient,
        "external_aad": opened.external_aad.hex(),
        "plaintext": opened.plaintext.hex(),
        "items": opened.diagnostic,
        "acts": [
            {
                "cose": act.cose.hex(),
                "external_aad": act.external_aad.hex(),
                "diagnostic": act.diagnostic,
                "signature": verdict,
                "cose_key": _public_key(ring, opened).hex(),
            }
            for act, verdict in zip(opened.acts, _verdicts(ring, opened), strict=True)
        ],
    }


def _print(
    octets: bytes,
    frame: ExpandedFrame,
    opened: OpenedFrame | None,
    reason: str,
    ring: KeyRing | None,
) -> None:
    header = frame.header
    names = _names(ring)
    incarnation = "not named" if header.incarnation is None else header.incarnation.hex()
    print_fields(
        [
            ("frame", f"{len(octets)} octets"),
            ("from", _station(header.sender, names)),
            ("to", _station(opened.recipient, names) if opened else None),
            ("generation", "0 (hello key)" if header.generation == 0 else header.generation),
            ("counter", header.counter),
            ("incarnation", incarnation),
        ]
    )
    _print_notation("COSE_Encrypt0", frame.diagnostic)
    say(f"hex {frame.cose.hex()}")
    if opened is None or ring is None:
        warn(f"not opened: {reason}")
        return
    say(f"external AAD {opened.external_aad.hex()}")
    _print_notation("items", opened.diagnostic)
    for act, verdict in zip(opened.acts, _verdicts(ring, opened), strict=True):
        _print_notation("act: COSE_Sign1", act.diagnostic)
        say(f"signature {verdict}")
        say(f"hex {act.cose.hex()}")
        say(f"external AAD {act.external_aad.hex()}")
        say(f"COSE_Key (public) {_public_key(ring, opened).hex()}")
    say("")


def _print_notation(title: str, notation: str) -> None:
    say("")
    say(f"/ {title} /")
    click.echo(visible(notation, line_feeds=True))


def _names(ring: KeyRing | None) -> Mapping[Station, str]:
    if ring is None:
        return {}
    return {ring.card.station: ring.card.name} | {
        station: line.card.name for station, line in ring.lines.items()
    }


def _station(number: Station, names: Mapping[Station, str]) -> str:
    return f"station {number} {names.get(number, '')}".rstrip()
