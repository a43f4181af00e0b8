#!/usr/bin/env python3
"""The bill of materials: every crate that is linked into a deployed function, and what the page ships that is not ours;
or every crate that is linked into the operator's tool.

    infra/supply/sbom.py > sbom.cdx.json
    infra/supply/sbom.py ops x86_64-unknown-linux-gnu > tether.cdx.json

CycloneDX 1.6 as JSON, from `Cargo.lock` through `cargo metadata`: normal dependencies for the target, with version,
licence, checksum and who needs whom. What only tests and builds need is not in it, because it is not shipped. Needs
`pip install -r infra/supply/requirements.lock`.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = "aarch64-unknown-linux-gnu"
LICENSES = LicenseFactory()


def cargo(*arguments):
    done = subprocess.run(["cargo", *arguments, "--locked"], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


def metadata(target):
    return json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", target))


def linked(package, target):
    """Names and versions of what is linked: with the features of the package alone, not of the whole workspace."""
    tree = cargo("tree", "-p", package, "-e", "normal", "--target", target, "--prefix", "none", "--format", "{p}")
    words = (line.split() for line in tree.splitlines() if line)
    return {(name, version.removeprefix("v")) for name, version, *_ in words}


def shipped(found, name, target):
    """Ids of the packages that are linked into the package called `name`, and whom each of them needs."""
    known = linked(name, target)
    packages = {package["id"]: (package["name"], package["version"]) for package in found["packages"]}
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    (start,) = (package["id"] for package in found["packages"] if package["name"] == name)
    needs, open_ids = {}, [start]
    while open_ids:
        package = open_ids.pop()
        if package in needs:
            continue
        normal = [
            dependency["pkg"]
            for dependency in nodes[package]["deps"]
            if packages[dependency["pkg"]] in known and any(kind["kind"] is None for kind in dependency["dep_kinds"])
        ]
        needs[package] = normal
        open_ids += normal
    return start, needs


def checksums():
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}


def crate(package, checksum):
    component = Component(
        name=package["name"],
        version=package["version"],
        type=ComponentType.LIBRARY,
        bom_ref=f"{package['name']}@{package['version']}",
        licenses=[LICENSES.make_from_string((package["license"] or "unknown").replace("/", " OR "))],
    )
    if checksum:
        component.purl = PackageURL(type="cargo", name=package["name"], version=package["version"])
        component.hashes.add(HashType(alg=HashAlgorithm.SHA_256, content=checksum))
    if package["repository"]:
        component.external_references.add(
            ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(package["repository"]))
        )
    return component


def vendored():
    """The page's foreign modules, one for each row of the table that `tests/web` holds to the bytes of their packages."""
    lines = (ROOT / "web/vendor/VENDORED.txt").read_text().splitlines()
    rows = [line.split() for line in lines if re.search(r"\s[0-9a-f]{64}$", line)]
    return {file: module(*rest) for file, *rest in rows}


def module(name, version, licence, _path, digest):
    """What is served is one file of the package: the hash is the file's."""
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{name}@{version}",
        purl=PackageURL(type="npm", name=name, version=version),
        licenses=[LICENSES.make_from_string(licence)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )


def bom(package="functions", target=TARGET):
    found = metadata(target)
    packages = {package["id"]: package for package in found["packages"]}
    start, needs = shipped(found, package, target)
    sums = checksums()
    components = {
        crate_id: crate(packages[crate_id], sums.get((packages[crate_id]["name"], packages[crate_id]["version"])))
        for crate_id in needs
    }
    tether = Component(
        name="tether",
        version=packages[start]["version"],
        type=ComponentType.APPLICATION,
        bom_ref="tether",
        licenses=[LICENSES.make_from_string("MIT OR Apache-2.0")],
    )
    page = list(vendored().values()) if package == "functions" else []
    document = Bom(components=[*components.values(), *page])
    document.metadata.component = tether
    document.register_dependency(tether, [components[start], *page])
    for crate_id, needed in needs.items():
        document.register_dependency(components[crate_id], [components[other] for other in needed])
    return document


def text_of(document):
    text = JsonV1Dot6(document).output_as_string(indent=2)
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault:
        sys.exit(f"the bill of materials is not valid CycloneDX: {fault}")
    return text


if __name__ == "__main__":
    print(text_of(bom(*sys.argv[1:])))
