"""The self-test against local stacks: it passes on one that works, and names exactly what is broken on one that does
not. Needs `target/debug/tether-dev` and the functions, which the Rust tests have built (`tests/run` does so):

    python -m pytest infra/checks/selftest_local.py
"""

import io
import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import boto3
import expand
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from environment import ROOT

sys.path.insert(0, str(ROOT / "infra"))

import selftest  # noqa: E402

CHECKS = ["page", "sign-in", "authorizer", "webhook", "worker", "schedule"]


def free_ports():
    """The first of six ports in a row that nobody listens on."""
    return subprocess.run([sys.executable, ROOT / "tests/free_ports.py"], capture_output=True, text=True).stdout.strip()


@contextmanager
def stack(folder, change=lambda resources: None):
    """A running stack of the template as `change` leaves it; gives its ready file."""
    template = expand.source()
    change(template["Resources"])
    expand.dump(template, folder / "template.yaml")
    ready = folder / "ready.json"
    command = [ROOT / "target/debug/tether-dev", "--template", folder / "template.yaml", "--ready-file", ready]
    command += ["--port-base", free_ports(), "--employees", "20", "--speed", "60"]
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        up = selftest.until(1200, lambda: ready.exists() or process.poll() is not None or None)
        assert up and process.poll() is None, (folder / "log").read_text()
        yield ready
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def ask(ready, *arguments):
    """(exit code, names of the checks that passed, sentences of those that failed)."""
    command = [sys.executable, ROOT / "infra/selftest.py", "--ready-file", ready, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    lines = run.stdout.splitlines()
    passed = [line.split()[1] for line in lines if line.startswith("pass")]
    failed = dict(line.removeprefix("FAIL").strip().split(": ", 1) for line in lines if line.startswith("FAIL"))
    assert run.stderr == ""
    return run.returncode, passed, failed


@pytest.fixture(scope="module")
def working(tmp_path_factory):
    with stack(tmp_path_factory.mktemp("working")) as ready:
        yield ready


def test_it_passes_on_a_stack_that_works(working):
    assert ask(working) == (0, CHECKS, {})


def test_it_names_a_wrong_webhook_key(working, tmp_path):
    key = tmp_path / "key"
    key.write_text("what-the-dashboard-shows\n")
    code, passed, failed = ask(working, "--webhook-key-file", key)
    assert (code, passed) == (1, [check for check in CHECKS if check != "webhook"])
    assert failed["webhook"].startswith("the webhook key is wrong")


def test_it_names_a_stopped_worker(tmp_path):
    with stack(tmp_path, lambda resources: resources["SyncWorkerFunction"]["Properties"].pop("Events")) as ready:
        code, passed, failed = ask(ready, "--patience", "8")
    assert (code, passed) == (1, [check for check in CHECKS if check != "worker"])
    assert failed["worker"].startswith("the worker is stopped: 1 messages wait")


def test_it_names_a_missing_schedule(tmp_path):
    with stack(tmp_path, lambda resources: resources["PollerFunction"]["Properties"].pop("Events")) as ready:
        code, passed, failed = ask(ready, "--patience", "8")
    assert (code, passed) == (1, [check for check in CHECKS if check != "schedule"])
    assert "the schedule is missing" in failed["schedule"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({}, "the schedule is missing or disabled, for the poller works when it is called"),
        ({"FunctionError": "Unhandled"}, "the poller fails: no such table"),
    ],
)
def test_in_aws_it_tells_a_missing_schedule_from_a_failing_poller(answer, said):
    client = boto3.client("lambda", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    payload = json.dumps({"errorMessage": "no such table"}).encode()
    with Stubber(client) as stubber:
        body = StreamingBody(io.BytesIO(payload), len(payload))
        stubber.add_response("invoke", {"StatusCode": 200, "Payload": body, **answer})
        assert selftest.why_no_run(SimpleNamespace(poller="poller", client=lambda _: client)) == said
