"""The template as CloudFormation would see it: expanded by SAM's own translator.

cfn-lint and `sam validate` on the SAM file are blind inside SAM resources, so every check runs on the expansion.
"""

import json
from pathlib import Path

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

TEMPLATE = Path(__file__).parents[1] / "template.yaml"

# Values for parameters without a default; only their shape matters here.
PARAMETERS = {
    "MergeApiKey": "key",
    "WebhookKeys": '["key"]',
    "OidcIssuer": "https://issuer.example",
    "OidcAudience": "audience",
    "OidcClientId": "client",
}


def source(path=TEMPLATE):
    """The SAM template as data, intrinsic functions in their long form."""
    return yaml_parse(Path(path).read_text())


def expanded(path=TEMPLATE):
    """The CloudFormation template that SAM makes of it. The code's place is a stand-in: nothing is built here."""
    template = source(path)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    template["Globals"]["Function"].pop("CodeUri", None)
    translator = Translator({}, Parser())
    return translator.translate(template, PARAMETERS)


def dump(template, path):
    Path(path).write_text(json.dumps(template, indent=1))
