"""Entries of the log book: canonical octets, bounds, and refusal of everything else."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import DecodeError, FieldError
from gateway.logbook.entry import Entry, decode_entry, encode_entry
from gateway.model import ActId, Epoch, Serial, Station, TimeQuality, UtcTime

ACT = ActId(Station(1), Epoch(0x3F2A), Serial(17))
FULL = Entry(
    number=300,
    is_line=True,
    event="sent",
    utc=UtcTime(1_790_000_000),
    time_quality=TimeQuality.SYNCHRONISED,
    fields=(("to", 2), ("link", "radio"), ("hash", b"\x01"), ("none", None), ("low", -5)),
    act_id=ACT,
    octets=b"act",
    signature=bytes(64),
)
SMALL = Entry(number=1, is_line=False, event="start")

entries = st.builds(
    Entry,
    number=st.integers(1, 2**48),
    is_line=st.booleans(),
    event=st.text(st.characters(codec="ascii"), min_size=1, max_size=64),
    utc=st.none() | st.integers(0, 2**32 - 1).map(UtcTime),
    time_quality=st.sampled_from(TimeQuality),
    fields=st.lists(
        st.tuples(
            st.text(max_size=20),
            st.none()
            | st.text(max_size=40)
            | st.binary(max_size=40)
            | st.integers(-(2**63), 2**64 - 1),
        ),
        max_size=8,
    ).map(tuple),
    act_id=st.none()
    | st.builds(
        ActId,
        st.integers(1, 255).map(Station),
        st.integers(1, 0xFFFF).map(Epoch),
        st.integers(1, 0xFFFF).map(Serial),
    ),
    octets=st.none() | st.binary(max_size=200),
    signature=st.none() | st.binary(min_size=64, max_size=64),
)


@given(entries)
def test_every_entry_comes_back(entry: Entry) -> None:
    """Whatever can be recorded is read back as the same value from canonical CBOR."""
    octets = encode_entry(entry)
    assert decode_entry(octets) == entry
    assert octets == cbor2.dumps(cbor2.loads(octets), canonical=True)


def test_the_format_does_not_drift() -> None:
    """These octets are in log books out there: a change of the format needs a new way to read."""
    assert encode_entry(SMALL).hex() == "a4000101010265737461727404" + "00"
    assert encode_entry(FULL).hex() == (
        "a90019012c010002647365" + "6e74031a6ab13b8004" + "02058a62746f02646c696e6b65726164696f"
        "64686173684101646e6f6e65f6636c6f7724"
        + "0683"
        + "01193f2a11"
        + "0743616374"
        + "085840"
        + "00" * 64
    )


@pytest.mark.parametrize(
    "document",
    [
        {},
        [1, 2],
        7,
        {0: 1, 1: 1, 2: "start"},
        {0: 1, 1: 2, 2: "start", 4: 0},
        {0: 1, 1: True, 2: "start", 4: 0},
        {0: 0, 1: 1, 2: "start", 4: 0},
        {0: "1", 1: 1, 2: "start", 4: 0},
        {0: 1, 1: 1, 2: "", 4: 0},
        {0: 1, 1: 1, 2: "start", 4: 9},
        {0: 1, 1: 1, 2: "start", 4: 0, 5: []},
        {0: 1, 1: 1, 2: "start", 4: 0, 5: ["lonely"]},
        {0: 1, 1: 1, 2: "start", 4: 0, 5: [1, 2]},
        {0: 1, 1: 1, 2: "start", 4: 0, 5: ["a", 1.5]},
        {0: 1, 1: 1, 2: "start", 4: 0, 5: ["a", True]},
        {0: 1, 1: 1, 2: "start", 4: 0, 6: [1, 2]},
        {0: 1, 1: 1, 2: "start", 4: 0, 6: [0, 1, 1]},
        {0: 1, 1: 1, 2: "start", 4: 0, 7: "text"},
        {0: 1, 1: 1, 2: "start", 4: 0, 3: -1},
        {0: 1, 1: 1, 2: "start", 4: 0, 9: 1},
        {0: 1, 1: 1, 2: "start", 4: 0, "x": 1},
    ],
)
def test_what_is_no_entry_is_refused(document: object) -> None:
    """A well-formed CBOR item that is no entry is a `DecodeError`, nothing else."""
    with pytest.raises(DecodeError):
        decode_entry(cbor2.dumps(document))


@pytest.mark.parametrize(
    "octets",
    [
        encode_entry(SMALL) + b"\x00",
        encode_entry(SMALL)[:-1],
        bytes.fromhex("a4010100010265737461727404" + "00"),
        bytes.fromhex("a400180101010265737461727404" + "00"),
        bytes.fromhex("bf000101010265737461727404" + "00ff"),
        b"",
        bytes(20_000),
    ],
)
def test_only_the_canonical_form_is_read(octets: bytes) -> None:
    """Stray octets, other orders, long integers and indefinite lengths are refused."""
    with pytest.raises(DecodeError):
        decode_entry(octets)


@given(st.binary(max_size=80))
def test_any_octets_give_a_value_or_a_decode_error(octets: bytes) -> None:
    """No octets make the reader raise anything but `DecodeError`."""
    try:
        entry = decode_entry(octets)
    except DecodeError:
        return
    assert encode_entry(entry) == octets


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 0},
        {"event": ""},
        {"event": "x" * 65},
        {"utc": -1},
        {"fields": (("a", 1),) * 65},
        {"act_id": ActId(Station(0), Epoch(1), Serial(1))},
    ],
)
def test_bounds_of_an_entry(changes: dict[str, object]) -> None:
    """An entry out of its bounds cannot be made."""
    good: dict[str, object] = {"number": 1, "is_line": False, "event": "start"}
    with pytest.raises(FieldError):
        Entry(**(good | changes))  # type: ignore[arg-type]


def test_an_entry_has_a_largest_size() -> None:
    """More than 16 KiB is refused when written, so that it is never refused when read."""
    with pytest.raises(FieldError):
        encode_entry(Entry(number=1, is_line=True, event="sent", octets=bytes(17_000)))


def test_field_by_name() -> None:
    """The first field of a name is found; a missing one is None."""
    assert FULL.field("to") == 2
    assert FULL.field("nothing") is None


@pytest.mark.parametrize(
    "document",
    [
        pytest.param("a4 00 01 01 01 02 61 61 04 c1 00", id="tag"),
        pytest.param("a4 00 01 01 01 02 d8 23 61 28 04 00", id="a tag that compiles"),
        pytest.param("a4 00 01 01 01 02 61 61 04 18 00", id="long integer"),
        pytest.param("a4 00 01 01 01 02 61 61 02 61 61", id="key twice"),
        pytest.param("a4 01 01 00 01 02 61 61 04 00", id="keys out of order"),
        pytest.param("a4 00 01 01 01 02 61 61 04 03", id="quality of time"),
        pytest.param("a4 00 01 01 f5 02 61 61 04 00", id="kind true"),
        pytest.param("a5 00 01 01 01 02 61 61 04 00 05 80", id="no fields"),
        pytest.param("a5 00 01 01 01 02 61 61 03 f6 04 00", id="no time"),
        pytest.param("a5 00 01 01 01 02 61 61 04 00 07 f6", id="no octets"),
        pytest.param("a5 00 01 01 01 02 61 61 04 00 09 00", id="unknown key"),
        pytest.param("a4 00 01 01 01 02 78 02 61 61 04 00", id="long string head"),
        pytest.param("a4 00 01 01 01 02 61 61 04 00 00", id="octet behind"),
        pytest.param("a4 00 01 01 01 02 61 61 04", id="cut"),
        pytest.param("a4 00 01 01 01 02 78 40 61", id="cut in a string"),
        pytest.param("a4 00 01 01 01 02 61 ff 04 00", id="not UTF-8"),
    ],
)
def test_other_forms_of_an_entry_are_refused(document: str) -> None:
    """One entry has one octet form, and no tag is ever run."""
    assert decode_entry(bytes.fromhex("a4 00 01 01 01 02 61 61 04 00")).event == "a"
    with pytest.raises(DecodeError):
        decode_entry(bytes.fromhex(document))
