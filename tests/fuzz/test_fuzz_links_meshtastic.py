"""Whatever a radio or its port brings: events or a lost link, nothing else."""

from __future__ import annotations

import contextlib
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.events import FrameReceived
from gateway.errors import LinkLostError
from gateway.links.meshtastic.conversation import Conversation
from gateway.links.meshtastic.protobuf import mesh_pb2
from gateway.links.meshtastic.stream import encode_frame
from tests.fuzz.octet_targets import FAR, RADIO, conversation_up

numbers = st.integers(0, 2**32 - 1)
packets = st.builds(
    lambda source, portnum, payload, request: mesh_pb2.FromRadio(
        packet=mesh_pb2.MeshPacket(
            **{"from": source},
            decoded=mesh_pb2.Data(portnum=portnum, payload=payload, request_id=request),
        )
    ),
    st.sampled_from([0, 1, FAR, 7]),
    st.sampled_from([1, 5, 256]),
    st.binary(max_size=230),
    numbers,
)
statuses = st.builds(
    lambda res, free, maxlen, number: mesh_pb2.FromRadio(
        queueStatus=mesh_pb2.QueueStatus(res=res, free=free, maxlen=maxlen, mesh_packet_id=number)
    ),
    st.integers(-1, 40),
    numbers,
    numbers,
    st.sampled_from([0, 1]),
)


@given(st.lists(st.binary(max_size=600)))
def test_any_octets(chunks: list[bytes]) -> None:
    """Noise on the port, in the handshake and after it."""
    fresh = Conversation(RADIO, FAR, "port", rng=Random(1))
    fresh.start(0)
    for conversation in (fresh, conversation_up()):
        with contextlib.suppress(LinkLostError):
            for number, chunk in enumerate(chunks):
                conversation.feed(chunk, 1000 + number * 700)
                conversation.feed(encode_frame(chunk[:512]), 1000 + number * 700)
                conversation.advance(1000 + number * 700)


@given(st.lists(st.one_of(packets, statuses)))
def test_any_messages(messages: list[mesh_pb2.FromRadio]) -> None:
    """Well-formed messages with any numbers in them, in any order."""
    conversation = conversation_up()
    payload_count = 0
    with contextlib.suppress(LinkLostError):
        for number, message in enumerate(messages):
            now_ms = 1000 + number * 500
            conversation.feed(encode_frame(message.SerializeToString()), now_ms)
            conversation.advance(now_ms)
            for event in conversation.take_events():
                payload_count += isinstance(event, FrameReceived)
    assert payload_count <= len(messages)
