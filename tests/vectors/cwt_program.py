"""COSE_Sign1 by the `cwt` package, in an environment of its own (it needs cbor2 < 6).

Reads one JSON request a line and answers each with one line: {"verify": hex, "public": hex,
"external_aad": hex} -> {"payload": hex} or {"error": text}; {"sign": hex, "private": hex,
"public": hex, "external_aad": hex} -> {"cose": hex}. Everything with algorithm -19.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from cwt import COSE, COSEKey
from cwt.exceptions import CWTError

OKP, ED25519, SIGN, VERIFY = 1, 6, 1, 2


def answer(request: dict[str, str]) -> dict[str, str]:
    """Do what one request asks for."""
    found = {name: bytes.fromhex(value) for name, value in request.items()}
    fields: dict[int, Any] = {1: OKP, -1: ED25519, 3: -19, -2: found["public"], 4: [VERIFY]}
    if "sign" in found:
        key = COSEKey.new(fields | {-4: found["private"], 4: [SIGN]})
        cose = COSE.new().encode(
            found["sign"], key, protected={1: -19}, external_aad=found["external_aad"]
        )
        return {"cose": cose.hex()}
    try:
        payload = COSE.new().decode(
            found["verify"], COSEKey.new(fields), external_aad=found["external_aad"]
        )
    except (CWTError, ValueError) as error:
        return {"error": str(error)}
    return {"payload": payload.hex()}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
