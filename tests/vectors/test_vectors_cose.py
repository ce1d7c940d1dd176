"""Other COSE programs open what we expand, and we open what they make.

`pycose` does COSE_Encrypt0 (AES-CCM-16-64-256, nonce from Base IV and partial IV); `cwt` does
COSE_Sign1 with Ed25519 (-19, RFC 9864), which pycose does not know.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.exceptions import InvalidTag
from pycose.algorithms import AESCCM1664256
from pycose.headers import KID, Algorithm, PartialIV
from pycose.keys.cosekey import CoseKey
from pycose.messages.enc0message import Enc0Message

from gateway.cli.keyfiles import write_new
from gateway.cli.main import main as command_line
from gateway.errors import AuthenticationError
from gateway.model import Act, Station
from gateway.security.cards import card_text, key_file_text, secret_text
from gateway.security.expand import (
    compress_act,
    compress_frame,
    cose_key,
    expand_act,
    expand_frame,
)
from gateway.security.keys import FrameKey
from gateway.security.seal import external_aad, open_frame, seal_frame
from gateway.security.signature import act_external_aad, signed_octets, verify_act
from gateway.wire.canonical import dump
from gateway.wire.frame import Header
from gateway.wire.items import decode_items, encode_items
from gateway.wire.notice import decode_act, encode_act
from tests.vectors import values
from tests.vectors.values import ACTS, FRAMES, INCARNATION, NORTH, SOUTH

FOLDER = Path(__file__).parent
LABEL_KID_CONTEXT = 10


def frame_key(header: Header, *, at_south: bool = False) -> FrameKey:
    """The key of NORTH's frames, as either end derives it."""
    is_hello = header.generation == 0
    if at_south:
        return values.rings()[1].lines[NORTH].keys.inbound(is_hello, INCARNATION)
    return values.rings()[0].lines[SOUTH].keys.outbound(is_hello, INCARNATION)


def pycose_message(cose: bytes) -> Enc0Message:
    """A COSE_Encrypt0 as pycose takes it; its own `decode` trips over the tuples of cbor2 6."""
    tag = cbor2.loads(cose)
    assert tag.tag == 16
    protected, unprotected, ciphertext = tag.value
    return Enc0Message.from_cose_obj([protected, dict(unprotected), ciphertext], True)


@pytest.mark.parametrize("name", FRAMES)
def test_pycose_opens_our_frame(name: str) -> None:
    """Expanded, with a COSE_Key and the external AAD beside it, a frame is standard COSE."""
    header, names = FRAMES[name]
    key, items = frame_key(header), encode_items(values.frame_items(names))
    frame = seal_frame(key, header, items, recipient=SOUTH)
    message = pycose_message(expand_frame(frame).cose)
    message.key = CoseKey.decode(cose_key(key, header))
    message.external_aad = external_aad(header, recipient=SOUTH)  # type: ignore[misc]
    assert message.decrypt() == items
    message.external_aad = external_aad(header, recipient=NORTH)  # type: ignore[misc]
    with pytest.raises(InvalidTag):
        message.decrypt()


@pytest.mark.parametrize("name", FRAMES)
def test_we_open_a_frame_of_pycose(name: str) -> None:
    """A COSE_Encrypt0 that pycose made compresses to a frame, which the far end opens."""
    header, names = FRAMES[name]
    items = encode_items(values.frame_items(names))
    protected: dict[Any, object] = {
        Algorithm: AESCCM1664256,
        KID: header.kid,
        PartialIV: header.partial_iv,
    }
    if header.incarnation is not None:
        protected[LABEL_KID_CONTEXT] = header.incarnation
    message = Enc0Message(
        phdr=protected,
        uhdr={},
        payload=items,
        external_aad=external_aad(header, recipient=SOUTH),
        key=CoseKey.decode(cose_key(frame_key(header), header)),
    )
    frame = compress_frame(message.encode())
    opened = open_frame(frame_key(header, at_south=True), frame, recipient=SOUTH)
    assert decode_items(opened) == values.frame_items(names)
    assert frame == seal_frame(frame_key(header), header, items, recipient=SOUTH)


@pytest.mark.parametrize("name", FRAMES)
def test_pycose_opens_what_the_frame_command_prints(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`hotline frame HEX --json` of a captured frame: another program opens it from the key."""
    header, names = FRAMES[name]
    key, items = frame_key(header), encode_items(values.frame_items(names))
    captured = seal_frame(key, header, items, recipient=SOUTH)
    assert command_line(["frame", captured.hex(), "--json"]) == 0
    message = pycose_message(bytes.fromhex(json.loads(capsys.readouterr().out)["cose"]))
    message.key = CoseKey.decode(cose_key(key, header))
    message.external_aad = external_aad(header, recipient=SOUTH)  # type: ignore[misc]
    assert message.decrypt() == items


WORKING_GROUP = json.loads((FOLDER / "cose-wg.json").read_text())


def test_the_public_example_of_encrypt0_opens() -> None:
    """AES-CCM-16-64-256 of the working group's examples, by our cipher and by pycose."""
    example: dict[str, str] = WORKING_GROUP["encrypt0"]
    key, cose = bytes.fromhex(example["key"]), bytes.fromhex(example["cose"])
    protected, unprotected, ciphertext = cbor2.loads(cose).value
    structure = dump(["Encrypt0", protected, b""])
    assert structure == bytes.fromhex(example["enc_structure"])
    ours = FrameKey(key, common_iv=unprotected[5])
    plaintext = ours.cipher.decrypt(unprotected[5], ciphertext, structure)
    assert plaintext == bytes.fromhex(example["plaintext"])
    message = pycose_message(cose)
    message.key = CoseKey.from_dict({"KTY": "SYMMETRIC", "K": key})
    assert message.decrypt() == plaintext
    hurt = ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])
    with pytest.raises(InvalidTag):
        ours.cipher.decrypt(unprotected[5], hurt, structure)


@pytest.mark.parametrize("example", WORKING_GROUP["signature1"], ids=lambda one: one["file"])
def test_the_public_examples_of_what_is_signed(example: dict[str, str]) -> None:
    """The Sig_structure of a COSE_Sign1, without and with external data; their curves differ."""
    protected, _, payload, _ = cbor2.loads(bytes.fromhex(example["cose"])).value
    structure = dump(["Signature1", protected, bytes.fromhex(example["external"]), payload])
    assert structure == bytes.fromhex(example["sig_structure"])
    # The same four parts are what we sign, with our header and external data.
    parts = cbor2.loads(signed_octets(payload, originator=NORTH, to=SOUTH))
    assert parts[0] == "Signature1"
    assert parts[2:] == [act_external_aad(originator=NORTH, to=SOUTH), payload]


@pytest.fixture(scope="module")
def cwt_python() -> Path:
    """An environment with nothing but cwt; made when it is not there yet."""
    subprocess.run([FOLDER / "cwt_environment.sh", sys.executable], check=True, timeout=100)
    return Path(".venv-cwt/bin/python").absolute()


Ask = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def ask_cwt(cwt_python: Path) -> Iterator[Ask]:
    """A running `cwt_program.py`."""
    command = [str(cwt_python), str(FOLDER / "cwt_program.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        source, sink = process.stdout, process.stdin

        def ask(**request: bytes) -> dict[str, str]:
            sink.write(json.dumps({name: value.hex() for name, value in request.items()}) + "\n")
            sink.flush()
            reply = json.loads(source.readline())
            assert isinstance(reply, dict)
            return reply

        yield ask
        sink.close()
        assert process.wait(timeout=20) == 0


@pytest.mark.parametrize("name", ACTS)
def test_cwt_verifies_our_act(name: str, ask_cwt: Ask) -> None:
    """A signed act, expanded, is a COSE_Sign1 with -19 that cwt verifies, for this line only."""
    octets, card = encode_act(ACTS[name]), values.cards()[0]
    cose = expand_act(octets, values.signature_of(name), originator=NORTH, to=SOUTH).cose
    external = act_external_aad(originator=NORTH, to=SOUTH)
    reply = ask_cwt(verify=cose, public=card.sign_public, external_aad=external)
    assert reply == {"payload": octets.hex()}
    turned = act_external_aad(originator=SOUTH, to=NORTH)
    assert "error" in ask_cwt(verify=cose, public=card.sign_public, external_aad=turned)
    broken = cose[:-1] + bytes([cose[-1] ^ 1])
    assert "error" in ask_cwt(verify=broken, public=card.sign_public, external_aad=external)


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_we_verify_an_act_of_cwt(act: Act, ask_cwt: Ask) -> None:
    """A COSE_Sign1 that cwt made with -19 compresses to an act and the signature that we make."""
    keys, card = values.keys()[0], values.cards()[0]
    reply = ask_cwt(
        sign=encode_act(act),
        private=keys.sign_seed,
        public=keys.sign_public,
        external_aad=act_external_aad(originator=NORTH, to=SOUTH),
    )
    octets, signature = compress_act(bytes.fromhex(reply["cose"]))
    verify_act(card, octets, signature, originator=NORTH, to=SOUTH)
    assert decode_act(octets, originator=NORTH, to=SOUTH) == act
    with pytest.raises(AuthenticationError):
        verify_act(card, octets, signature, originator=NORTH, to=Station(3))


@pytest.fixture
def south(tmp_path: Path) -> Path:
    """SOUTH's configuration, with the keys of the vectors."""
    keys, cards = values.keys(), values.cards()
    write_new(tmp_path / "station.key", key_file_text(keys[1], cards[1]), mode=0o600)
    write_new(tmp_path / "NORTH.card", card_text(cards[0], keys[0]), mode=0o644)
    write_new(tmp_path / "NORTH.secret", secret_text(values.SECRET), mode=0o600)
    path = tmp_path / "hotline.toml"
    path.write_text(
        f"""
        [station]
        name = "SOUTH-2"
        key_file = "{tmp_path}/station.key"
        [indicators]
        factory = "none"
        [[line]]
        card = "{tmp_path}/NORTH.card"
        secret_file = "{tmp_path}/NORTH.secret"
        generation = {values.GENERATION}
        [[line.link]]
        name = "cable"
        driver = "serial"
        port = "/dev/ttyS0"
        bit_rate = 9600
        """
    )
    return path


def programs() -> dict[str, str]:
    """The two of gateway/security/README.md, by the package that each imports."""
    page = (FOLDER.parents[1] / "gateway/security/README.md").read_text()
    found = [block.split("```")[0] for block in page.split("```python\n")[1:]]
    return {"cwt" if "from cwt" in program else "pycose": program for program in found}


@pytest.mark.parametrize("package", ["pycose", "cwt"])
def test_the_programs_of_the_page_open_and_verify_what_the_command_prints(
    package: str,
    south: Path,
    tmp_path: Path,
    cwt_python: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As written there, from the command's files alone; a changed octet is found by each."""
    header, names = FRAMES["frame-full"]
    captured = seal_frame(
        frame_key(header), header, encode_items(values.frame_items(names)), recipient=SOUTH
    )
    command = ["frame", captured.hex(), "--config", str(south), "--incarnation", INCARNATION.hex()]
    path = tmp_path / "frame.key"
    assert command_line([*command, "--cose-key", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().hex() not in json.dumps(document)
    (tmp_path / "frame.json").write_text(json.dumps(document))
    python = {"pycose": Path(sys.executable), "cwt": cwt_python}[package]

    def run() -> subprocess.CompletedProcess[str]:
        arguments = [str(python), "-c", programs()[package]]
        return subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "opened"
    assert ("verified" in done.stdout) == (package == "cwt")
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))
    assert "opened" not in run().stdout
    if package == "cwt":
        (act,) = document["acts"]
        act["cose"] = act["cose"][:-1] + ("0" if act["cose"][-1] != "0" else "1")
        (tmp_path / "frame.json").write_text(json.dumps(document))
        assert "verified" not in run().stdout
    assert command_line([*command, "--cose-key", str(path)]) != 0, "nothing is overwritten"
    (tmp_path / "two").write_text(f"{captured.hex()}\n" * 2)
    two = ["frame", str(tmp_path / "two"), *command[2:], "--cose-key", str(tmp_path / "key")]
    assert command_line(two) == 2
    stranger = ["frame", captured.hex(), "--cose-key", str(tmp_path / "key")]
    assert command_line(stranger) == 3
    assert not (tmp_path / "key").exists()
