"""What the tests of `make test-vm` share: the package, and a machine in which it is installed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.hardware.machine.installation import Installed, install, package
from tests.hardware.machine.machine import IMAGES


@pytest.fixture(scope="session")
def deb() -> Path:
    """The package as `make deb` built it."""
    assert (IMAGES / "stamp").exists(), f"{IMAGES} has no machine: run `make test-vm`"
    return package()


@pytest.fixture(scope="session")
def installed(deb: Path) -> Installed:
    """A machine kept just after `apt install`: every test that wants one resumes it in a second."""
    return asyncio.run(install(deb))
