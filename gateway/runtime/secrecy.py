"""Keys stay in this process: no core dump holds them, no process of the same user reads them."""

from __future__ import annotations

import ctypes
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def keep_memory_private() -> bool:
    """Before any key is read. False where the kernel does not know how (then only the limit holds).

    A limit of 0 stops cores that the kernel writes into files; where a program takes them
    (systemd-coredump) only a process that is not dumpable leaves none. That closes `ptrace` and
    /proc/PID/mem to processes of the same user too.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    return prctl is not None and prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
