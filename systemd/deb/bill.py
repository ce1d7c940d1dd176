"""The bill of materials (CycloneDX JSON): what a package holds, by the lock file and its wheels."""

from __future__ import annotations

import email
import hashlib
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from package import NAME, Package
from packageurl import PackageURL
from wheels import Wheels


def write_bill(path: Path, package: Package, wheels: list[Wheels]) -> None:
    """One component a wheel; a property says for which Python it is."""
    product = Component(
        type=ComponentType.APPLICATION,
        name=NAME,
        version=package.version,
        bom_ref=NAME,
        licenses=[LicenseFactory().make_from_string("GPL-3.0-or-later")],
        purl=PackageURL("deb", None, NAME, package.debian_version, {"arch": package.architecture}),
    )
    pythons: dict[Path, list[str]] = {}
    files: dict[str, Path] = {}
    for one in wheels:
        for file in one.files().values():
            files[file.name] = file
            pythons.setdefault(Path(file.name), []).append(one.target.python)
    components = [_component(files[name], pythons[Path(name)]) for name in sorted(files)]
    moment = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    content = hashlib.sha256()
    for component in components:
        content.update(str(component.bom_ref).encode() + b"\0")
    bom = Bom(
        components=components,
        metadata=BomMetaData(component=product, timestamp=moment),
        serial_number=uuid5(NAMESPACE_URL, f"{package.file_stem}/{content.hexdigest()}"),
    )
    bom.register_dependency(product, components)
    outputter = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    path.write_text(outputter.output_as_string(indent=1) + "\n")


def _component(wheel: Path, pythons: list[str]) -> Component:
    metadata = _metadata(wheel)
    name, version = metadata["Name"].lower(), metadata["Version"]
    word = _licence(metadata)
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        description=metadata["Summary"],
        bom_ref=wheel.name,
        licenses=[LicenseFactory().make_from_string(word)] if word else None,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=_sha256(wheel))],
        purl=PackageURL("pypi", None, name.replace("_", "-"), version, {"file_name": wheel.name}),
        properties=[Property(name="python", value=python) for python in pythons],
    )


def _licence(metadata: email.message.Message) -> str:
    """As the wheel states it: a field, or, in older ones, only the last part of a classifier."""
    stated = metadata["License-Expression"] or metadata["License"] or ""
    if stated.strip():
        return str(stated).strip().splitlines()[0]
    words = (line for line in metadata.get_all("Classifier", ()) if line.startswith("License ::"))
    return next((line.rpartition(" :: ")[2] for line in words), "")


def _metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [
            one
            for one in archive.namelist()
            if one.endswith(".dist-info/METADATA") and one.count("/") == 1
        ]
        return email.message_from_bytes(archive.read(name))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
