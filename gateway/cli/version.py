"""The version that `hotline --version` prints."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "hotline-gateway"


def version_text() -> str:
    """`hotline 0.1.0`; a tree that was never installed says so."""
    try:
        return f"hotline {version(DISTRIBUTION)}"
    except PackageNotFoundError:
        return "hotline (not installed: run from the source tree)"
