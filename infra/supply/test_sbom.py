"""The bill of materials names what is shipped, and nothing that is only for tests."""

import hashlib
import json

import pytest
import sbom
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


FOR_TESTS = {"proptest", "dynoxide-rs", "local-stack", "merge-sandbox", "aws-sdk-sso"}


@pytest.mark.parametrize(
    ("asked", "shipped", "not_shipped"),
    [
        ([], {"functions", "shared", "tokio", "rustls", "aws-sdk-kms", "oauth4webapi", "preact"}, {"ops", "clap", *FOR_TESTS}),
        (
            ["ops", "x86_64-unknown-linux-gnu"],
            {"ops", "shared", "tokio", "rustls", "aws-sdk-cloudformation", "clap"},
            {"functions", "oauth4webapi", "preact", *FOR_TESTS},
        ),
    ],
)
def test_the_bill_of_materials_is_valid_and_complete(asked, shipped, not_shipped):
    text = JsonV1Dot6(sbom.bom(*asked)).output_as_string()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    components = {component["name"]: component for component in document["components"]}
    assert shipped <= components.keys()
    assert not not_shipped & components.keys()
    for component in document["components"]:
        assert component["licenses"], component["name"]
        ours = component["name"] in ("functions", "ops", "shared")
        assert ours or component["purl"].startswith("pkg:"), component["name"]
    needed = {reference for entry in document["dependencies"] for reference in entry.get("dependsOn", [])}
    known = {component["bom-ref"] for component in document["components"]}
    assert needed == known, "everything is needed by something"


def test_every_foreign_module_of_the_page_is_in_the_bill_with_its_bytes():
    vendored = sbom.vendored()
    served = {path.name: path.read_bytes() for path in (sbom.ROOT / "web/vendor").glob("*.js")}
    assert vendored.keys() == served.keys()
    listed = {component.name: component for component in sbom.bom().components}
    for file, component in vendored.items():
        assert component.name in listed, file
        assert {known.content for known in component.hashes} == {hashlib.sha256(served[file]).hexdigest()}, file
