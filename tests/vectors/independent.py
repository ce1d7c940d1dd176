"""A second reader, written from gateway.cddl and the RFCs alone; imports nothing of the gateway.

CBOR (RFC 8949), diagnostic notation (RFC 8610 appendix G), COBS, HKDF (RFC 5869), CCM (RFC 3610)
and the act. It is slow, trusting and small: it exists to disagree with the gateway, not to be used.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PROTOCOL = "hotline/1"


@dataclass(frozen=True)
class Tag:
    number: int
    value: Any


# ---- CBOR ----


def read_cbor(octets: bytes) -> Any:
    value, rest = _read(octets)
    assert not rest, "octets follow"
    return value


def read_sequence(octets: bytes) -> list[Any]:
    found = []
    while octets:
        value, octets = _read(octets)
        found.append(value)
    return found


def _read(octets: bytes) -> tuple[Any, bytes]:
    major, short, rest = octets[0] // 32, octets[0] % 32, octets[1:]
    argument = short
    if short >= 24:
        size = {24: 1, 25: 2, 26: 4, 27: 8}[short]
        argument, rest = int.from_bytes(rest[:size], "big"), rest[size:]
    match major:
        case 0:
            return argument, rest
        case 1:
            return -1 - argument, rest
        case 2:
            return rest[:argument], rest[argument:]
        case 3:
            return rest[:argument].decode(), rest[argument:]
        case 4:
            array = []
            for _ in range(argument):
                value, rest = _read(rest)
                array.append(value)
            return array, rest
        case 5:
            found = {}
            for _ in range(argument):
                key, rest = _read(rest)
                found[key], rest = _read(rest)
            return found, rest
        case 6:
            value, rest = _read(rest)
            return Tag(argument, value), rest
        case _:
            return {20: False, 21: True, 22: None}[argument], rest


def write_cbor(value: Any) -> bytes:
    if value is None or isinstance(value, bool):
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    match value:
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case bytes():
            return _head(2, len(value)) + value
        case str():
            return _head(3, len(value.encode())) + value.encode()
        case list():
            return _head(4, len(value)) + b"".join(map(write_cbor, value))
        case dict():
            pairs = sorted((write_cbor(key), write_cbor(value[key])) for key in value)
            return _head(5, len(pairs)) + b"".join(key + entry for key, entry in pairs)
        case Tag():
            return _head(6, value.number) + write_cbor(value.value)
        case _:
            raise TypeError(value)


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major * 32 + argument])
    for code, letter in ((24, "B"), (25, "H"), (26, "I"), (27, "Q")):
        if argument < 256 ** struct.calcsize(letter):
            return bytes([major * 32 + code]) + struct.pack(">" + letter, argument)
    raise OverflowError(argument)


# ---- diagnostic notation ----

_TOKEN = re.compile(
    r"""\s+|/[^/]*/|(?P<bytes>h'[0-9a-f]*')|(?P<text>"(?:[^"\\]|\\.)*")"""
    r"""|(?P<number>-?\d+)|(?P<word>true|false|null)|(?P<mark><<|>>|[\[\]{}(),:])"""
)


class Notation:
    """Reads diagnostic notation: `Notation(text).read()` gives the values of a sequence."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            assert match, text[position : position + 40]
            if match.lastgroup:
                self.tokens.append((match.lastgroup, match[0]))
            position = match.end()

    def read(self) -> list[Any]:
        found = [self._value()]
        while self.tokens:
            self._take(",")
            found.append(self._value())
        return found

    def _take(self, mark: str) -> None:
        assert self.tokens.pop(0) == ("mark", mark)

    def _next_is(self, mark: str) -> bool:
        return bool(self.tokens) and self.tokens[0] == ("mark", mark)

    def _value(self) -> Any:
        group, token = self.tokens.pop(0)
        match group, token:
            case "bytes", _:
                return bytes.fromhex(token[2:-1])
            case "text", _:
                return _unescape(token[1:-1])
            case "word", _:
                return {"true": True, "false": False, "null": None}[token]
            case "number", _:
                if not self._next_is("("):
                    return int(token)
                self._take("(")
                tag = Tag(int(token), self._value())
                self._take(")")
                return tag
            case "mark", "[":
                return self._until("]", self._value)
            case "mark", "<<":
                return b"".join(map(write_cbor, self._until(">>", self._value)))
            case "mark", "{":
                return dict(self._until("}", self._pair))
            case _:
                raise AssertionError(token)

    def _pair(self) -> tuple[Any, Any]:
        key = self._value()
        self._take(":")
        return key, self._value()

    def _until(self, mark: str, read: Any) -> list[Any]:
        found: list[Any] = []
        while not self._next_is(mark):
            if found:
                self._take(",")
            found.append(read())
        self._take(mark)
        return found


def _unescape(text: str) -> str:
    text = re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), text)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16")
    return re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), text)


# ---- the act ----


def _words(text: str) -> list[str]:
    return text.split()


CODES = _words(
    "NOTIFY REPORT WARNING QUERY REQUEST ASSURE UPDATE CANCEL CHECK LINE_STATE HANDOVER SERVICE "
    "answer void countersign"
)
PRECEDENCES = ["FLASH", "IMMEDIATE", "PRIORITY", "ROUTINE"]
LIFETIMES = [120, 240, 720, 1440]
OPERATIONS = ["OPERATION", "EXERCISE", "SIMULATION", "TEST"]
QUALITIES = ["NONE", "MANUAL", "SYNCHRONISED"]
ROLES = _words("AUTOMATIC DUTY_OFFICER WATCH_COMMANDER LIAISON_OFFICER COMMANDER TECHNICIAN")
ANSWERS = _words("ROGER STANDBY WILCO HAVCO CANTCO AFFIRM NEGATIVE CANTPRO")
LANGUAGES = _words("en fr es ru ar zh pt de hi ur fa tr he uk ko ja it pl el ro sr hy az ka")


def read_act(octets: bytes) -> dict[str, Any]:
    """What an act says, in words."""
    fields = read_cbor(octets)
    rest, operation = divmod(fields[0], 4)
    rest, precedence = divmod(rest, 4)
    code, quality = divmod(rest, 3)
    said: dict[str, Any] = {
        "code": CODES[code],
        "quality": QUALITIES[quality],
        "precedence": PRECEDENCES[precedence],
        "operation": OPERATIONS[operation],
        "id": divmod(fields[1], 65536),
        "created": fields.get(2),
        "previous": divmod(fields[14], 65536) if 14 in fields else None,
        "extensions": {key: fields[key] for key in fields if key > 15},
    }
    if code == 13:
        return said
    if code == 14:
        number, entry_hash, far_number, far_hash, received = fields[15]
        said["head"] = (number, entry_hash)
        said["far_head"] = (far_number, far_hash) if far_number else None
        said["received"] = [divmod(until, 65536) for until in received]
        return said
    said["released_by"] = ROLES[fields.get(12, 1)]
    said["own_reference"] = divmod(fields[5], 65536) if 5 in fields else None
    said["their_reference"] = divmod(fields[6], 65536) if 6 in fields else None
    text = fields.get(7)
    said["text"] = read_text(text) if isinstance(text, bytes) else text
    language = fields.get(8)
    said["language"] = LANGUAGES[language] if isinstance(language, int) else language
    if code == 12:
        return said | {"answer": ANSWERS[fields[13]]}
    said["lifetime_min"] = fields.get(3, LIFETIMES[precedence])
    said["reply_by_min"] = fields.get(4)
    said["phrase"] = fields.get(9)
    said["place"] = _read_place(fields[10]) if 10 in fields else None
    said["window"] = None
    if 11 in fields:
        start, length = fields[11]
        said["window"] = ((fields.get(2, 0) // 60) + start, length)
    return said


def _read_place(octets: bytes) -> dict[str, Any]:
    count, radius_m = len(octets) // 7, 0
    if len(octets) in (9, 13):
        count, radius_m = 1, struct.unpack(">H", octets[7:9])[0]
    points = []
    for index in range(count):
        number = int.from_bytes(octets[index * 7 : index * 7 + 7], "big")
        points.append((number // 2**26 - 9_000_000, number % 2**26 - 18_000_000))
    has_altitude = len(octets) not in (9, count * 7)
    altitude = struct.unpack(">hh", octets[-4:]) if has_altitude else None
    return {"points": points, "radius_m": radius_m, "altitude": altitude}


def read_text(octets: bytes) -> str:
    """A compressed text, from one big number instead of a shifting window."""
    number, coded = octets[0], octets[1:] + bytes(4096)
    lines = (Path(__file__).parent / f"dictionary-{number}.txt").read_text().splitlines()
    dictionary = "".join(["\0" + line for line in lines]) + "\0"
    home = {1: 1, 2: 1, 3: 8, 4: 12, 5: 8}[number]
    low, width, size = 0, 1 << 32, 4

    def which(widths: list[int]) -> int:
        nonlocal low, width, size
        part = width // sum(widths)
        place = (int.from_bytes(coded[:size], "big") - low) // part
        index = next(i for i in range(len(widths)) if place < sum(widths[: i + 1]))
        low, width = low + part * sum(widths[:index]), part * widths[index]
        while width < 1 << 24:
            low, width, size = low << 8, width << 8, size + 1
        return index

    def next_point(said: str) -> str:
        left_out: set[str] = set()
        for count in (3, 2, 1, 0):
            if count > len(said):
                continue
            context = re.escape(said[len(said) - count :])
            found = Counter(re.findall(f"(?={context}(.))", dictionary, re.DOTALL))
            points = sorted(set(found) - left_out)
            if not points:
                continue
            index = which([*[found[point] for point in points], len(points)])
            if index < len(points):
                return str(points[index])
            left_out |= set(found)
        block = (0, home, None)[which([1, 1, 1])]
        if block is None:
            block = which([1] * 8704)
        return chr(block * 128 + which([1] * 128))

    said = "\0"
    while (point := next_point(said)) != "\0":
        said += point
    return said[1:]


def read_stream(line: bytes) -> list[bytes]:
    """COBS, group by group."""
    frames = []
    for part in line.split(b"\x00")[:-1]:
        frame = bytearray()
        position = 0
        while position < len(part):
            code = part[position]
            frame += part[position + 1 : position + code]
            position += code
            if code < 255 and position < len(part):
                frame.append(0)
        if frame:
            frames.append(bytes(frame))
    return frames


# ---- keys and frames ----


def hkdf_extract(salt: bytes, material: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), material, "sha256")


def hkdf_expand(key: bytes, info: bytes, size: int) -> bytes:
    octets, block, counter = b"", b"", 1
    while len(octets) < size:
        block = hmac.digest(key, block + info + bytes([counter]), "sha256")
        octets, counter = octets + block, counter + 1
    return octets[:size]


def line_root(
    own_exchange: bytes,
    peer_exchange: bytes,
    secret: bytes,
    generation: int,
    *,
    sender: tuple[int, bytes],
    recipient: tuple[int, bytes],
) -> bytes:
    private = X25519PrivateKey.from_private_bytes(own_exchange)
    shared = private.exchange(X25519PublicKey.from_public_bytes(peer_exchange))
    info = write_cbor([PROTOCOL, "root", generation, [*sender], [*recipient]])
    return hkdf_expand(hkdf_extract(b"", shared + secret), info, 32)


def open_frame(root: bytes, frame: bytes, *, recipient: int, incarnation: bytes) -> bytes:
    """The items of a frame: RFC 8613 section 6.1 backwards, then section 5.2, then CCM."""
    flag = frame[0]
    size = flag % 8
    partial_iv, position = frame[1 : 1 + size], 1 + size
    header: dict[int, Any] = {1: 11, 6: partial_iv}
    if flag & 0x10:
        assert frame[position] == 8
        assert frame[position + 1 : position + 9] == incarnation
        header[10] = incarnation
        position += 9
    kid, sealed = frame[position : position + 2], frame[position + 2 :]
    header[4] = kid
    key = hkdf_expand(root, write_cbor([PROTOCOL, incarnation, 11, "Key", 32]), 32)
    common_iv = hkdf_expand(root, write_cbor([PROTOCOL, incarnation, 11, "IV", 13]), 13)
    plain_nonce = bytes([2]) + kid.rjust(7, b"\0") + partial_iv.rjust(5, b"\0")
    nonce = bytes(a ^ b for a, b in zip(plain_nonce, common_iv, strict=True))
    external = write_cbor([PROTOCOL, kid[0], recipient, kid[1]])
    aad = write_cbor(["Encrypt0", write_cbor(header), external])
    return ccm_open(key, nonce, sealed, aad)


def ccm_open(key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
    """RFC 3610 with L = 2 and M = 8, from single AES blocks."""
    cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()

    def stream(counter: int) -> bytes:
        return cipher.update(b"\x01" + nonce + counter.to_bytes(2, "big"))

    body, tag = sealed[:-8], sealed[-8:]
    plain = b"".join(
        bytes(a ^ b for a, b in zip(body[start : start + 16], stream(number), strict=False))
        for number, start in enumerate(range(0, len(body), 16), 1)
    )
    blocks = b"\x59" + nonce + len(plain).to_bytes(2, "big")
    blocks += _pad(len(aad).to_bytes(2, "big") + aad) + _pad(plain)
    state = bytes(16)
    for start in range(0, len(blocks), 16):
        mixed = bytes(a ^ b for a, b in zip(state, blocks[start : start + 16], strict=True))
        state = cipher.update(mixed)
    expected = bytes(a ^ b for a, b in zip(state[:8], stream(0), strict=False))
    assert expected == tag, "the tag is wrong"
    return plain


def _pad(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 16)


def verify_act(public: bytes, octets: bytes, signature: bytes, *, originator: int, to: int) -> None:
    external = write_cbor([PROTOCOL, originator, to])
    signed = write_cbor(["Signature1", write_cbor({1: -19}), external, octets])
    Ed25519PublicKey.from_public_bytes(public).verify(signature, signed)


def read_card(text: str) -> list[Any]:
    """The fields of a card whose checksum and signature are right."""
    encoded = text.removeprefix("HOTLINE-CARD-1.")
    octets = base64.b32decode(encoded + "=" * (-len(encoded) % 8))
    content, signature, checksum = octets[:-68], octets[-68:-4], octets[-4:]
    fields = read_cbor(content)
    assert isinstance(fields, list)
    assert _crc32(octets[:-4]) == int.from_bytes(checksum, "big")
    signed = ["Signature1", write_cbor({1: -19}), write_cbor([PROTOCOL, "card"]), content]
    Ed25519PublicKey.from_public_bytes(fields[5]).verify(signature, write_cbor(signed))
    return fields


def _crc32(octets: bytes) -> int:
    remainder = 0xFFFF_FFFF
    for octet in octets:
        remainder ^= octet
        for _ in range(8):
            remainder = remainder >> 1 ^ (0xEDB8_8320 if remainder & 1 else 0)
    return remainder ^ 0xFFFF_FFFF


def sha256(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()
