"""The Meshtastic package's protobuf definitions, and nothing else of it.

Importing any module of the package runs its `__init__`, which imports the whole library: 405
modules, 16 MB and a thread that we never use. So the package is entered here as a bare one, found
but not executed, for as long as its generated modules are loaded. A later `import meshtastic` by
someone else still runs the real one.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError as ProtobufError

if TYPE_CHECKING:
    from meshtastic.protobuf import (
        admin_pb2,
        channel_pb2,
        config_pb2,
        mesh_pb2,
        module_config_pb2,
        portnums_pb2,
    )

__all__ = [
    "ProtobufError",
    "admin_pb2",
    "channel_pb2",
    "config_pb2",
    "mesh_pb2",
    "module_config_pb2",
    "portnums_pb2",
]

_PACKAGE: Final = "meshtastic"


def _load(*names: str) -> list[Any]:
    """Import generated modules without running the package's `__init__`."""
    bare: ModuleType | None = None
    if _PACKAGE not in sys.modules:
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or spec.submodule_search_locations is None:
            raise ImportError("the package meshtastic is not installed", name=_PACKAGE)
        bare = ModuleType(_PACKAGE)
        bare.__path__ = list(spec.submodule_search_locations)
        sys.modules[_PACKAGE] = bare
    try:
        return [importlib.import_module(f"{_PACKAGE}.protobuf.{name}") for name in names]
    finally:
        if bare is not None:
            del sys.modules[_PACKAGE]
            # So that a real import does not find a half-known child of a bare parent.
            sys.modules.pop(f"{_PACKAGE}.protobuf", None)


if not TYPE_CHECKING:
    (admin_pb2, channel_pb2, config_pb2, mesh_pb2, module_config_pb2, portnums_pb2) = _load(
        "admin_pb2", "channel_pb2", "config_pb2", "mesh_pb2", "module_config_pb2", "portnums_pb2"
    )
