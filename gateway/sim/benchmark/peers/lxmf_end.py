"""One end of an LXMF line, for comparison: run by the Python of a throw-away environment.

    python lxmf_end.py FOLDER PORT BIT_RATE

Speaks JSON lines: first `{"ready": ADDRESS, "public_key": HEX}`; then takes `{"peer": HEX}` (the
other's public key) and `{"send": TEXT}`; tells `{"received": TEXT}`, `{"proved": TEXT}` and
`{"failed": TEXT}`. Uses nothing of ours: `rns` and `lxmf` are no dependency of this project.
"""
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN003, ANN201 (nothing here is known where types are checked)

import json
import sys
import threading
from pathlib import Path

import LXMF
import RNS

CONFIG = """\
[reticulum]
  enable_transport = No
  share_instance = No
  panic_on_interface_error = Yes
[logging]
  loglevel = 2
[interfaces]
  [[Cable]]
    type = SerialInterface
    enabled = yes
    port = {port}
    speed = {bit_rate}
    databits = 8
    parity = none
    stopbits = 1
"""
_lock = threading.Lock()


def tell(**words):
    with _lock:
        sys.stdout.write(json.dumps(words) + "\n")
        sys.stdout.flush()


def main():
    folder, port, bit_rate = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config").write_text(CONFIG.format(port=port, bit_rate=bit_rate))
    RNS.Reticulum(str(folder), loglevel=2)
    router = LXMF.LXMRouter(storagepath=str(folder / "lxmf"))
    identity = RNS.Identity()
    source = router.register_delivery_identity(identity, display_name="end")
    router.register_delivery_callback(lambda message: tell(received=message.content_as_string()))
    tell(ready=source.hash.hex(), public_key=identity.get_public_key().hex())
    destination = None
    for line in sys.stdin:
        order = json.loads(line)
        if "peer" in order:
            destination = meet(order["peer"])
        elif "announce" in order:
            # Without a path known from an announce each retry asks for one first.
            router.announce(source.hash)
        elif "path" in order:
            tell(path=RNS.Transport.has_path(destination.hash))
        else:
            send(router, destination, source, order["send"])


def meet(public_key):
    """The peer's address, known beforehand, as our own stations know their cards."""
    peer = RNS.Identity(create_keys=False)
    peer.load_public_key(bytes.fromhex(public_key))
    destination = RNS.Destination(
        peer, RNS.Destination.OUT, RNS.Destination.SINGLE, "lxmf", "delivery"
    )
    RNS.Identity.remember(b"", destination.hash, peer.get_public_key(), None)
    return destination


def send(router, destination, source, text):
    message = LXMF.LXMessage(
        destination, source, text, "", desired_method=LXMF.LXMessage.OPPORTUNISTIC
    )
    message.register_delivery_callback(lambda one: tell(proved=one.content_as_string()))
    message.register_failed_callback(lambda one: tell(failed=one.content_as_string()))
    router.handle_outbound(message)


main()
