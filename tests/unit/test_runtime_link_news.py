"""What `hotline run` says of links and lines: each change once, what stays never again."""

from __future__ import annotations

from dataclasses import replace

from gateway.core.effects import LinkStatus, Status
from gateway.model import LinkName, LinkState, Station
from gateway.runtime.link_news import LinkNews

GONE = "/dev/ttyUSB0 is not there; plug the device in or correct `port`"
CABLE = LinkStatus(
    LinkName("cable"), Station(2), LinkState.DOWN, False, "", None, None, None, queued=0
)


def status(*links: LinkStatus) -> Status:
    return Status(Station(1), links, (), (), 0, (), 0, (), False, False, False, None, None, None)


def test_each_change_is_one_sentence_and_what_stays_is_none() -> None:
    """A device that does not work, that works, a line up, degraded and down: told once each."""
    news = LinkNews(lambda _station: "SOUTH")
    lost = replace(CABLE, detail=GONE)
    works = replace(CABLE, state=LinkState.PROBING, device_up=True, detail="/dev/ttyUSB0")
    up = replace(works, state=LinkState.UP)
    told = [
        list(news.of(status(link)))
        for link in (
            *(CABLE, lost, lost, works, works, up, up, replace(up, state=LinkState.DEGRADED)),
            lost,
        )
    ]
    assert told == [
        [],
        [f"link cable: our device DOES NOT WORK: {GONE}"],
        [],
        ["link cable: our device works: /dev/ttyUSB0"],
        [],
        ["line to SOUTH is UP by cable: its gateway answers"],
        [],
        [],
        [
            f"link cable: our device DOES NOT WORK: {GONE}",
            "line to SOUTH is DOWN: its gateway does not answer",
        ],
    ]


def test_a_line_stays_up_while_one_of_its_links_carries() -> None:
    """Who loses the radio reads that of the radio, and not that the line is down."""
    news = LinkNews(lambda _station: "SOUTH")
    up = replace(CABLE, state=LinkState.UP, device_up=True)
    radio = replace(up, name=LinkName("radio"), detail="a radio")
    assert list(news.of(status(radio, up)))[-1] == (
        "line to SOUTH is UP by radio, cable: its gateway answers"
    )
    gone = replace(radio, state=LinkState.DOWN, device_up=False, detail="gone")
    assert list(news.of(status(gone, up))) == ["link radio: our device DOES NOT WORK: gone"]
