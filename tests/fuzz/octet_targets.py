"""Readers of octets from a line, a radio's port or a disk: a value or `DecodeError`, no more."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from random import Random

from gateway.core.effects import Transmit
from gateway.core.session import Session
from gateway.errors import AuthenticationError, DecodeError, LinkLostError
from gateway.links.meshtastic.conversation import Conversation
from gateway.links.meshtastic.protobuf import config_pb2, mesh_pb2
from gateway.links.meshtastic.stream import encode_frame
from gateway.logbook.audit import Book, BookAudit
from gateway.logbook.chain import GENESIS, next_hash
from gateway.logbook.comparison import can_compare, compare
from gateway.logbook.entry import Entry, decode_entry, encode_entry
from gateway.logbook.examine import examine
from gateway.logbook.head import decode_head, encode_head, sign_head
from gateway.logbook.segment import encode_record, read_records
from gateway.model import Countersign, LinkName, Precedence, Station, Text, Void
from gateway.security.expand import compress_act, compress_frame, expand_act, expand_frame
from gateway.security.seal import seal_frame
from gateway.wire.byte_stream import ENCODED_SIZE_MAX, StreamDecoder, encode_stream
from gateway.wire.canonical import dump
from gateway.wire.compression import compress, decompress
from gateway.wire.fragment import Reassembly
from gateway.wire.frame import encode_header, parse_frame
from gateway.wire.items import ActItem, HelloItem, decode_items, encode_items
from gateway.wire.limits import FRAME_SIZE_MAX
from gateway.wire.notice import _encode, decode_act, encode_act, peek_act_id
from tests.fuzz.target import Take, Target
from tests.vectors import values
from tests.vectors.values import ACTS, FRAMES, INCARNATION, ITEMS, NORTH, SOUTH

# Decoder


def read_act(octets: bytes) -> None:
    """Read; what is read has these octets and no other, but for the form of its text."""
    act = decode_act(octets, originator=NORTH, to=SOUTH)
    written = encode_act(act)
    if isinstance(act, Void | Countersign) or not isinstance(act.body, Text):
        assert written == octets
    assert decode_act(written, originator=NORTH, to=SOUTH) == act


def read_text(octets: bytes) -> None:
    """Read; a compressed text is shorter than the text, within its bound, and has no other form."""
    text = decompress(octets).encode()
    assert len(octets) < len(text) <= 1024


def read_items(octets: bytes) -> None:
    assert encode_items(decode_items(octets)) == octets


def read_frame(octets: bytes) -> None:
    header, start, sealed = parse_frame(octets)
    assert encode_header(header) == start
    assert start + sealed == octets
    assert compress_frame(expand_frame(octets).cose) == octets


def read_fragments(octets: bytes) -> None:
    reassembly = Reassembly(1)
    reassembly.add(0, octets)
    reassembly.result()


def read_cose(octets: bytes) -> None:
    with contextlib.suppress(DecodeError):
        compress_frame(octets)
    compress_act(octets)


def show(octets: bytes) -> None:
    """What decodes can be shown, whatever it says."""
    expand_act(octets, bytes(64), originator=NORTH, to=SOUTH)


READERS: tuple[Callable[[bytes], None], ...] = (
    read_act,
    read_text,
    read_items,
    read_frame,
    read_fragments,
    read_cose,
    show,
)


def read_plain_act(octets: bytes) -> None:
    """As `read_act`; that a text is written in one form is left to the target `text`."""
    act = decode_act(octets, originator=NORTH, to=SOUTH)
    if isinstance(act, Void | Countersign) or not isinstance(act.body, Text):
        assert encode_act(act) == octets


@contextlib.contextmanager
def _decoder() -> Iterator[Take]:
    readers = (read_plain_act, read_items, read_frame, read_fragments, read_cose)

    def take(octets: bytes) -> None:
        for read in readers:
            with contextlib.suppress(DecodeError):
                read(octets)
        with contextlib.suppress(DecodeError):
            peek_act_id(octets, originator=NORTH)

    yield take


def _decoder_seeds() -> list[bytes]:
    """Long compressed texts are left to `text`: each takes as long as a hundred other inputs."""
    frames = _sealed()
    acts = [
        _encode(
            act,
            None
            if isinstance(act, Void | Countersign) or not isinstance(act.body, Text)
            else act.body.text,
        )
        for act in ACTS.values()
    ]
    return [
        *acts,
        encode_act(ACTS["act-text-block"]),
        *(encode_items([item]) for item in ITEMS.values()),
        *(encode_items([ActItem(3, act, bytes(64))]) for act in acts),
        *frames,
        *(expand_frame(frame).cose for frame in frames),
        *(expand_act(act, bytes(64), originator=NORTH, to=SOUTH).cose for act in acts[:4]),
    ]


@contextlib.contextmanager
def _text() -> Iterator[Take]:
    def take(octets: bytes) -> None:
        act = dump({0: 36, 1: 65537, 7: octets, 8: 0, 14: 0})
        for read in (read_text, lambda _: read_act(act), lambda _: show(act)):
            with contextlib.suppress(DecodeError):
                read(octets)

    yield take


def _text_seeds() -> list[bytes]:
    texts = [act.body for act in ACTS.values() if not isinstance(act, Void | Countersign)]
    coded = [compress(body.text, body.language) for body in texts if isinstance(body, Text)]
    return [octets for octets in coded if octets is not None]


# Opening of frames


def _sealed() -> list[bytes]:
    """Frames of NORTH to SOUTH, one of each kind."""
    keys = values.rings()[0].lines[SOUTH].keys
    return [
        seal_frame(
            keys.outbound(header.generation == 0, INCARNATION),
            header,
            encode_items(values.frame_items(names)),
            recipient=SOUTH,
        )
        for header, names in FRAMES.values()
    ]


@contextlib.contextmanager
def _open() -> Iterator[Take]:
    session = Session(
        values.rings()[1].lines[NORTH], own=SOUTH, incarnation=bytes(8), assumed=INCARNATION
    )
    authentic = frozenset(_sealed())

    def take(octets: bytes) -> None:
        incarnations = list(session._inbound)
        try:
            header, _, _ = parse_frame(octets)
            opened = session.open(header, octets)
        except (DecodeError, AuthenticationError):
            # What does not open leaves no trace.
            assert list(session._inbound) == incarnations
            return
        assert octets in authentic, "a frame that nobody sealed has opened"
        assert not opened.is_proven
        for item in decode_items(opened.octets):
            if opened.is_fresh and isinstance(item, HelloItem):
                session.receive_hello(item, opened)

    yield take


# Byte stream


@contextlib.contextmanager
def _stream() -> Iterator[Take]:
    def take(octets: bytes) -> None:
        whole, single = StreamDecoder(), StreamDecoder()
        found = whole.feed(octets)
        slowly: list[bytes] = []
        for at in range(len(octets)):
            slowly += single.feed(octets[at : at + 1])
            assert len(single._pending) <= ENCODED_SIZE_MAX
        assert found == slowly
        assert all(1 <= len(frame) <= FRAME_SIZE_MAX for frame in found)
        assert all(encode_stream(frame) in b"\x00" + octets for frame in found)
        # Whatever came before: a delimiter heals the line.
        frame = b"\x08\x00next"
        assert single.feed(b"\x00" + encode_stream(frame))[-1] == frame

    yield take


def _stream_seeds() -> list[bytes]:
    return [
        b"".join(map(encode_stream, frames)) for frames in (*values.STREAMS.values(), _sealed())
    ]


# Radio stream

FAR = 0x4D4C00B2
RADIO = LinkName("radio")


def conversation_up() -> Conversation:
    """A conversation that is up and waits for the status of a packet."""
    conversation = Conversation(RADIO, FAR, "port", rng=Random(1))
    conversation.start(0)
    conversation.advance(100)
    nonce = mesh_pb2.ToRadio.FromString(conversation.take_octets()[36:]).want_config_id
    lora = config_pb2.Config.LoRaConfig(use_preset=True, region=3, tx_enabled=True)
    for message in (
        mesh_pb2.FromRadio(my_info=mesh_pb2.MyNodeInfo(my_node_num=1)),
        mesh_pb2.FromRadio(config=config_pb2.Config(lora=lora)),
        mesh_pb2.FromRadio(config_complete_id=nonce),
    ):
        conversation.feed(encode_frame(message.SerializeToString()), 200)
    conversation.take_events()
    transmit = Transmit(RADIO, 1, Station(2), b"x", Precedence.FLASH, want_ack=True)
    conversation.submit(transmit, 300)
    return conversation


@contextlib.contextmanager
def _radio() -> Iterator[Take]:
    def take(octets: bytes) -> None:
        fresh = Conversation(RADIO, FAR, "port", rng=Random(1))
        fresh.start(0)
        for conversation in (fresh, conversation_up()):
            with contextlib.suppress(LinkLostError):
                # As octets of the port in two reads, and as one message in a frame.
                for number, part in enumerate((octets[:40], octets[40:])):
                    conversation.feed(part, 1_000 + number * 700)
                    conversation.advance(1_000 + number * 700)
                conversation.feed(encode_frame(octets[:512]), 3_000)
                conversation.advance(3_000)
                conversation.take_events()
                conversation.take_octets()

    yield take


def _radio_seeds() -> list[bytes]:
    packet = mesh_pb2.MeshPacket(
        **{"from": FAR},
        to=1,
        id=7,
        decoded=mesh_pb2.Data(portnum=256, payload=b"\x09\x00frame"),
    )
    routing = mesh_pb2.MeshPacket(
        **{"from": FAR},
        decoded=mesh_pb2.Data(
            portnum=5,
            request_id=1,
            payload=mesh_pb2.Routing(error_reason=mesh_pb2.Routing.Error.NONE).SerializeToString(),
        ),
    )
    lora = config_pb2.Config.LoRaConfig(use_preset=True, region=3, tx_enabled=True)
    messages = [
        mesh_pb2.FromRadio(my_info=mesh_pb2.MyNodeInfo(my_node_num=1)),
        mesh_pb2.FromRadio(config=config_pb2.Config(lora=lora)),
        mesh_pb2.FromRadio(
            node_info=mesh_pb2.NodeInfo(num=FAR, user=mesh_pb2.User(id="!4d4c00b2"))
        ),
        mesh_pb2.FromRadio(packet=packet),
        mesh_pb2.FromRadio(packet=routing),
        mesh_pb2.FromRadio(
            queueStatus=mesh_pb2.QueueStatus(res=0, free=15, maxlen=16, mesh_packet_id=1)
        ),
        mesh_pb2.FromRadio(rebooted=True),
        mesh_pb2.FromRadio(metadata=mesh_pb2.DeviceMetadata(firmware_version="2.7.11")),
    ]
    plain = [message.SerializeToString() for message in messages]
    return [*plain, *map(encode_frame, plain), b"".join(map(encode_frame, plain)), b"INFO | text\n"]


# Log book file


def log_book(count: int) -> bytes:
    """A segment file of `count` entries of both kinds."""
    octets, head = b"", GENESIS
    for number in range(1, count + 1):
        act = encode_act(values.ANSWER)
        entry = Entry(
            number=number,
            is_line=number % 2 == 0,
            event="received" if number % 2 == 0 else "link",
            utc=values.CREATED,
            fields=(("link", "radio"), ("count", number), ("hash", bytes(4)), ("none", None)),
            act_id=values.ANSWER.id if number % 2 == 0 else None,
            octets=act if number % 2 == 0 else None,
            signature=bytes(64) if number % 2 == 0 else None,
        )
        encoded = encode_entry(entry)
        head = next_hash(head, encoded)
        octets += encode_record(encoded, head, number)
    return octets


@contextlib.contextmanager
def _logbook() -> Iterator[Take]:
    def take(octets: bytes) -> None:
        for record in read_records(octets):
            # What is read is canonical, so that its hash is of these octets and no other.
            assert encode_entry(record.entry) == record.octets
            assert record.octets in octets
        with contextlib.suppress(DecodeError):
            assert encode_entry(decode_entry(octets)) == octets
        with contextlib.suppress(DecodeError):
            assert encode_head(decode_head(octets)) == octets
        book = audited(octets)
        if can_compare(book, good) is None:
            compare(book, good)
            compare(good, book)

    good = audited(log_book(4))
    yield take


def audited(octets: bytes) -> Book:
    """What `hotline log verify` makes of a file of a book."""
    cards = {card.station: [card] for card in values.cards()}
    audit = BookAudit("book")
    audit.add(examine(octets, 0, cards), file="book")
    return audit.finish(cards)


def _logbook_seeds() -> list[bytes]:
    whole = [log_book(count) for count in (1, 2, 4)]
    head = sign_head(values.keys()[0], number=4, entry_hash=bytes(32))
    entries = [record.octets for record in read_records(whole[-1])]
    return [*whole, *entries, encode_head(head)]


CBOR_PIECES = (
    b"\xa1\x00\x00",
    b"\x81\x00",
    b"\x80",
    b"\xa0",
    b"\x18\x18",
    b"\x19\xff\xff",
    b"\x1a\xff\xff\xff\xff",
    b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x9f\xff",
    b"\xc1\x1a\x00\x00\x00\x00",
    b"\xd8\x23\x61(",
    b"\xf9\x00\x00",
    b"\x61\xff",
    b"\x14\xf6",
    b"\x17\xf5",
)

OCTET_TARGETS = (
    Target("decoder", "acts, items, frames, COSE", _decoder, _decoder_seeds, pieces=CBOR_PIECES),
    Target("text", "compressed text, alone and in an act", _text, _text_seeds, size_max=600),
    Target("open", "frames under keys that their maker does not have", _open, _sealed),
    Target(
        "stream",
        "frames on a serial line, whole and octet by octet",
        _stream,
        _stream_seeds,
        size_max=2_200,
        pieces=(b"\x00", b"\xff", b"\xff" + bytes(range(1, 255)), b"\x01" * 1_030),
    ),
    Target(
        "radio",
        "what a radio's port brings, in its handshake and after it",
        _radio,
        _radio_seeds,
        pieces=(b"\x94\xc3", b"\x94\xc3\x02\x00", b"\x94", b"\xff\xff\xff\xff\x0f", b"DEBUG | \n"),
    ),
    Target(
        "logbook",
        "segment files and entries of the log book",
        _logbook,
        _logbook_seeds,
        size_max=2_000,
        pieces=(b"\x83\x58", b"\x83", b"\x58\x20", *CBOR_PIECES),
    ),
)
