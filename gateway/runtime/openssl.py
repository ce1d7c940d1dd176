"""Leaves the system's OpenSSL out of a process that needs none: 5 MB of memory.

Python loads it for `asyncio`, `hashlib` and `paho-mqtt` whether or not anybody uses TLS. All three
allow for a Python that was built without it. Our frames are sealed by `cryptography`, which has its
own.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Final

_BUILT_IN_SHA: Final = ("_sha256", "_sha2")
"""Where `hashlib` finds SHA-256 without OpenSSL, up to Python 3.11 and from 3.12 on."""


def leave_out_hashing() -> None:
    """Call before anything imports `hashlib`: reading keys and cards does. TLS does not need it."""
    if any(importlib.util.find_spec(name) for name in _BUILT_IN_SHA):
        sys.modules.setdefault("_hashlib", None)  # type: ignore[arg-type]  # None: its import fails


def leave_out_tls() -> None:
    """Call before `asyncio` is imported, where no connection needs TLS."""
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]
