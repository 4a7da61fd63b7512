"""Runs in an image build: ``sbom.py ROOT FILE`` writes the bill of materials of a root file system, CycloneDX 1.6.

It names the distribution's packages (``var/lib/dpkg/status.d``), the Python packages (``*.dist-info``), and what those
and the programs were compiled from, as far as they say so (``sboms/*.json`` beside them: crates, Go modules,
libraries). The variables SERVICE and VERSION name the image. Equal contents give equal files.
"""

from __future__ import annotations

import email.parser
import json
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

Component = dict[str, Any]


def main() -> None:
    root, file = Path(sys.argv[1]), Path(sys.argv[2])
    found = [*debian(root), *python(root), *compiled(root)]
    components = [part for _, part in sorted({part["bom-ref"]: part for part in found}.items())]
    name, version = os.environ["SERVICE"], os.environ["VERSION"]
    image = {"type": "container", "bom-ref": f"skewless/{name}", "name": f"skewless/{name}", "version": version}
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, json.dumps([image, components])).urn,
        "version": 1,
        "metadata": {"component": image},
        "components": components,
    }
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(bill, indent=1) + "\n")
    for path in (file, *file.parents[:3]):
        os.utime(path, (0, 0))


def debian(root: Path) -> Iterator[Component]:
    for note in sorted(root.glob("var/lib/dpkg/status.d/*")):
        fields = email.parser.Parser().parsestr(note.read_text())
        name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}"
        yield library(name, version, purl)


def python(root: Path) -> Iterator[Component]:
    for metadata in sorted(root.glob("opt/skewless/**/*.dist-info/METADATA")):
        fields = email.parser.Parser().parsestr(metadata.read_text(errors="replace"))
        name, version = fields["Name"], fields["Version"]
        normal = name.lower().replace("_", "-").replace(".", "-")
        component = library(name, version, f"pkg:pypi/{normal}@{quote(version)}")
        if expression := fields["License-Expression"]:
            component["licenses"] = [{"expression": expression}]
        elif licence := licence_name(fields):
            component["licenses"] = [{"license": {"name": licence}}]
        yield component


def licence_name(fields: Any) -> str:
    """What a package without a licence expression calls its licence; empty if it does not."""
    classified = [line for line in fields.get_all("Classifier", ()) if line.startswith("License :: ")]
    given = str(fields["License"] or "").strip()
    if given and "\n" not in given:
        return given
    return str(classified[0].rpartition(" :: ")[2]) if classified else ""


def compiled(root: Path) -> Iterator[Component]:
    for file in sorted(root.glob("opt/skewless/**/sboms/*.json")):
        for component in json.loads(file.read_text()).get("components", ()):
            purl = component.get("purl", "")
            if purl and not purl.startswith("pkg:pypi/"):
                made = library(component["name"], component.get("version", ""), purl)
                if licences := component.get("licenses"):
                    made["licenses"] = licences
                yield made


def library(name: str, version: str, purl: str) -> Component:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    main()
