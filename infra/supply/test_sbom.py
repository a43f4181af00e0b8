"""The bill of materials names what is shipped, and nothing that is only for tests."""

import json

import sbom
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def test_the_bill_of_materials_is_valid_and_complete():
    text = JsonV1Dot6(sbom.bom()).output_as_string()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    components = {component["name"]: component for component in document["components"]}
    assert {"functions", "shared", "tokio", "rustls", "aws-sdk-kms", "oauth4webapi"} <= components.keys()
    assert not {"proptest", "dynoxide-rs", "local-stack", "merge-sandbox", "aws-sdk-sso"} & components.keys()
    for component in document["components"]:
        assert component["licenses"], component["name"]
        ours = component["name"] in ("functions", "shared")
        assert ours or component["purl"].startswith("pkg:"), component["name"]
    needed = {reference for entry in document["dependencies"] for reference in entry.get("dependsOn", [])}
    known = {component["bom-ref"] for component in document["components"]}
    assert needed == known, "everything is needed by something"
