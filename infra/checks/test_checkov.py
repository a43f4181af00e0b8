"""What checkov finds in the expanded template is known, and each finding has its reason to stand.

Checkov's dependencies contradict the gate's, so it lives in an environment of its own beside the gate's, named like it
with `-checkov` at the end.
"""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import expand

CHECKOV = Path(f"{sys.prefix}-checkov/bin/checkov")

FUNCTIONS = "AWS::Lambda::Function."

# Check → (resources for which it may fail, why that is right).
ACCEPTED = {
    "CKV_AWS_27": ("AWS::SQS::Queue.", "SSE-SQS encrypts them; messages hold ids and times, a token only as ciphertext"),
    "CKV_AWS_115": (FUNCTIONS, "reserved concurrency answers 429, which loses webhooks; the queue's is capped"),
    "CKV_AWS_116": (FUNCTIONS, "the one that is called asynchronously has a destination, which replaces the DLQ"),
    "CKV_AWS_117": (FUNCTIONS, "they call public endpoints only; a VPC would add a NAT gateway and no boundary"),
    "CKV_AWS_158": ("AWS::Logs::LogGroup.", "CloudWatch's own key encrypts them; no secret and no record is logged"),
    "CKV_AWS_173": (FUNCTIONS, "Lambda's own key encrypts it; it holds names and settings, secrets are read when needed"),
    "CKV_AWS_258": ("AWS::Lambda::Url.WebhookFunctionUrl", "Merge cannot sign AWS requests; the function verifies its own"),
}


def findings(template, tmp_path):
    """(passed checks, resources by failed check) of a template."""
    path = Path(tmp_path) / "expanded.json"
    expand.dump(template, path)
    command = [CHECKOV, "--framework", "cloudformation", "--skip-download", "--quiet", "--output", "json", "-f", path]
    run = subprocess.run(command, capture_output=True, text=True)
    report = json.loads(run.stdout)
    assert report["summary"]["parsing_errors"] == 0, report
    failed = defaultdict(set)
    for finding in report["results"]["failed_checks"]:
        failed[finding["check_id"]].add(finding["resource"])
    return report["summary"]["passed"], failed


def test_every_finding_has_its_reason(tmp_path):
    passed, failed = findings(expand.expanded(), tmp_path)
    assert passed > 100
    # Also the other way round: a reason for what is no longer found goes.
    assert set(failed) == set(ACCEPTED)
    for check, resources in failed.items():
        accepted, _ = ACCEPTED[check]
        assert [name for name in sorted(resources) if not name.startswith(accepted)] == [], check


def test_a_key_that_is_not_rotated_is_found(tmp_path):
    template = expand.source()
    template["Resources"]["TokenKey"]["Properties"]["EnableKeyRotation"] = False
    _, failed = findings(expand.expanded(template), tmp_path)
    assert failed["CKV_AWS_7"] == {"AWS::KMS::Key.TokenKey"}
