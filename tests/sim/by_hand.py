"""Two stations whose frames go where a test says: what a driver reports, and what far ears hear."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.core.effects import Effect, Observe, Transmit
from gateway.core.events import (
    Event,
    FrameAcknowledged,
    FrameReceived,
    FrameRefused,
    FrameRelayed,
    FrameSent,
    Refusal,
)
from gateway.core.line import Line
from gateway.core.policy import Policy
from gateway.core.station import StationState
from gateway.model import (
    Act,
    ActId,
    Kind,
    LinkName,
    Notice,
    Operation,
    Precedence,
    Station,
    Text,
    TimeQuality,
)
from gateway.security.signature import sign_act
from gateway.sim.world import Post, World
from gateway.wire.items import ActItem, Item, encode_items
from gateway.wire.notice import encode_act


class ByHand(World):
    """A world in which the frames of chosen stations and links wait for the test.

    Everything else is as in `World`; `hold` begins, `frames` are those that wait.
    """

    def __init__(self, seed: int = 1, *, stations: int = 2, policy: Policy | None = None) -> None:
        super().__init__(seed, stations=stations, policy=policy)
        self.frames: list[Transmit] = []
        self.effects: list[Effect] = []
        self._held: set[tuple[Station, LinkName]] = set()
        self.has_entropy = True

    def hold(self, link: str, station: int = 1) -> None:
        self._held.add((Station(station), LinkName(link)))

    def release(self, link: str, station: int = 1) -> None:
        self._held.discard((Station(station), LinkName(link)))

    def _transmit(self, post: Post, frame: Transmit) -> None:
        if (post.station, frame.link) in self._held:
            self.frames.append(frame)
        else:
            super()._transmit(post, frame)

    def next_frame(self, link: str) -> Transmit:
        """The oldest held frame of this link, taken out."""
        frame = next(frame for frame in self.frames if frame.link == link)
        self.frames.remove(frame)
        return frame

    # What a driver of station 1 reports, and whether the far station hears it

    def tell(self, event: Event, station: int = 1) -> None:
        """Hand an event to a station and remember what it led to."""
        post = self.posts[Station(station)]
        assert post.engine is not None
        before = len(post.observed)
        self.give(post.station, event)
        self.observed = post.observed[before:]

    def sent(self, frame: Transmit) -> None:
        self.tell(FrameSent(frame.link, frame.transmission))

    def acknowledged(self, frame: Transmit) -> None:
        self.tell(FrameAcknowledged(frame.link, frame.transmission))

    def relayed(self, frame: Transmit) -> None:
        self.tell(FrameRelayed(frame.link, frame.transmission))

    def refused(self, frame: Transmit, reason: Refusal, retry_after_ms: int | None = None) -> None:
        self.tell(FrameRefused(frame.link, frame.transmission, reason, retry_after_ms))

    def heard(self, frame: Transmit) -> None:
        self.give(frame.to, FrameReceived(frame.link, frame.octets))

    # Inside a station

    def state(self, station: int = 1) -> StationState:
        engine = self.posts[Station(station)].engine
        assert engine is not None
        return engine._state

    def line(self, station: int = 1, peer: int = 2) -> Line:
        return self.state(station).lines[Station(peer)]

    def say(self, items: Iterable[Item], *, sender: int = 1, to: int = 2, link: str = "") -> None:
        """Items of our choice, sealed as the sender's gateway would, straight to the far one."""
        frame, _ = self.line(sender, to).session.seal(encode_items(list(items)))
        self.give(Station(to), FrameReceived(LinkName(link or "cable"), frame))

    def signed(self, act: Act, *, sender: int = 1, to: int = 2) -> ActItem:
        """The act as its sender would sign it."""
        octets = encode_act(act)
        keys = self.posts[Station(sender)].keys.own
        return ActItem(
            0, octets, sign_act(keys, octets, originator=Station(sender), to=Station(to))
        )

    def notes(self, event: str, station: int = 1) -> list[Observe]:
        return [note for note in self.posts[Station(station)].observed if note.event == event]


def settled(
    *, radio: bool = False, cable: bool = True, policy: Policy | None = None, seed: int = 1
) -> ByHand:
    """Two stations after their hellos, nothing held."""
    world = ByHand(seed, policy=policy)
    if radio:
        world.add_path("radio", bit_rate=None)
    if cable:
        world.add_path("cable")
    world.start()
    world.run(30_000)
    for post in world.posts.values():
        assert post.status is not None
        assert all(peer.confirmed for peer in post.status.peers)
    return world


def id_of(originator: int, epoch: int, serial: int) -> ActId:
    return ActId.parse(f"{originator}-{epoch:04x}-{serial}")


NOTICE = Notice(
    id=id_of(1, 9, 5),
    to=Station(2),
    kind=Kind.NOTIFY,
    precedence=Precedence.ROUTINE,
    operation=Operation.OPERATION,
    created=None,
    time_quality=TimeQuality.NONE,
    lifetime_min=60,
    body=Text("from by hand", "en"),
)
