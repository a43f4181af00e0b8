"""Asks the API everything that its published document allows and forbids, and judges every answer by the document.

Runs Schemathesis against the stack whose ready file TETHER_READY_FILE names, as organizations of its own: first with ids
that nobody has, then with an account that is connected, but for deleting it. An answer of 500 or more, one that the
document does not describe, and a request that is against the document and served all the same are failures.

usage: run.py EXAMPLES [SEED]
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

# What Merge refuses of the first counts against it for two minutes.
WITHOUT_ACCOUNT, WITH_ACCOUNT = "org_contract", "org_contract_connected"
NOT_FOR_US = [
    # API Gateway answers a method that a path does not have like a path that does not exist.
    "unsupported_method",
    "allow_header_conformance",
    # What a token opens and which issues an account has, no document can say: a good request may be refused.
    "positive_data_acceptance",
    # A deletion goes on after its answer, and the account can be looked at meanwhile.
    "use_after_free",
]


def call(url, body=None, token=None):
    """The JSON that a call answers; a body that is text is sent as a form."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    data = None
    if isinstance(body, str):
        data = body.encode()
    elif body is not None:
        data, headers["content-type"] = json.dumps(body).encode(), "application/json"
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as answer:
        return json.loads(answer.read())


def token(ready, organization):
    form = {"grant_type": "client_credentials", "client_id": organization, "client_secret": "dev"}
    return call(ready["token"], urllib.parse.urlencode(form))["access_token"]


def connect(ready, token):
    """The id of an account that is connected."""
    started = call(f"{ready['api']}/v1/link-tokens", {"category": "hris"}, token)
    dialog = {"link_token": started["link_token"], "integration_slug": "bamboohr", "outcome": "success"}
    public_token = call(f"{ready['sandbox']}/link", dialog)["public_token"]
    call(f"{ready['api']}/v1/linked-accounts", {"public_token": public_token, "category": "hris"}, token)
    return started["id"]


def schemathesis(ready, token, examples, seed, further, config=""):
    with tempfile.TemporaryDirectory() as folder:
        settings = pathlib.Path(folder, "schemathesis.toml")
        settings.write_text(config)
        command = [
            pathlib.Path(sys.executable).with_name("schemathesis"), "--config-file", settings,
            "run", f"{ready['api']}/openapi.json", "--url", ready["api"],
            "--header", f"Authorization: Bearer {token}",
            "--mode", "all", "--max-examples", str(examples), "--seed", str(seed), "--continue-on-failure",
            "--generation-database", "none", "--no-color", "--warnings", "off",
            "--checks", "all", "--exclude-checks", ",".join(NOT_FOR_US), *further,
        ]
        # There it leaves what it remembers of failures.
        return subprocess.run(command, cwd=folder, check=False).returncode


def main():
    examples = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    ready = json.loads(pathlib.Path(os.environ["TETHER_READY_FILE"]).read_text())
    failed = schemathesis(ready, token(ready, WITHOUT_ACCOUNT), examples, seed, [])
    bearer = token(ready, WITH_ACCOUNT)
    account = connect(ready, bearer)
    own = ["--include-path-regex", r"\{id\}", "--exclude-method", "DELETE"]
    failed |= schemathesis(ready, bearer, examples, seed, own, f'[parameters]\n"path.id" = "{account}"\n')
    sys.exit(failed)


if __name__ == "__main__":
    main()
