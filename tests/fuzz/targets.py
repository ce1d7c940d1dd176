"""Every target by its name."""

from __future__ import annotations

from typing import Final

from tests.fuzz.octet_targets import OCTET_TARGETS
from tests.fuzz.paper_targets import PAPER_TARGETS
from tests.fuzz.request_targets import REQUEST_TARGETS
from tests.fuzz.target import Target

TARGETS: Final[dict[str, Target]] = {
    target.name: target for target in (*OCTET_TARGETS, *PAPER_TARGETS, *REQUEST_TARGETS)
}
