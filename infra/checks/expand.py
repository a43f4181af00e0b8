"""The template as CloudFormation would see it: expanded by SAM's own translator.

cfn-lint and `sam validate` on the SAM file are blind inside SAM resources, so every check runs on the expansion.
"""

import json
import logging
import os
from pathlib import Path

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
# The translator warns for every function that a toggle of AWS's own deployment is absent here.
logging.getLogger("samtranslator").setLevel(logging.CRITICAL)

from samtranslator.parser.parser import Parser  # noqa: E402
from samtranslator.translator.translator import Translator  # noqa: E402
from samtranslator.yaml_helper import yaml_parse  # noqa: E402

TEMPLATE = Path(__file__).parents[1] / "template.yaml"

# Values for parameters without a default; only their shape matters here.
PARAMETERS = {"MergeApiKey": "key", "WebhookKeys": '["key"]'}


def source(path=TEMPLATE):
    """The SAM template as data, intrinsic functions in their long form."""
    return yaml_parse(Path(path).read_text())


def expanded(template=None):
    """The CloudFormation template that SAM makes of it. The code's place is a stand-in: nothing is built here."""
    template = json.loads(json.dumps(source() if template is None else template))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    template["Globals"]["Function"].pop("CodeUri", None)
    translator = Translator({}, Parser())
    return translator.translate(template, PARAMETERS)


def dump(template, path):
    Path(path).write_text(json.dumps(template, indent=1))
