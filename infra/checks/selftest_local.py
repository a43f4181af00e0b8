"""The self-test against local stacks: it passes on one that works, and names exactly what is broken on one that does
not. Needs `target/debug/tether-dev` and the functions, which the Rust tests have built (`tests/run` does so):

    python -m pytest infra/checks/selftest_local.py
"""

import io
import json
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace

import boto3
import expand
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from environment import ROOT

sys.path.insert(0, str(ROOT / "infra"))

import selftest  # noqa: E402
import selftest_account  # noqa: E402

CHECKS = ["page", "sign-in", "authorizer", "webhook", "timeline", "dead-letters", "schedule", "clean-up"]


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


def target(ready):
    return selftest.Target(SimpleNamespace(ready_file=ready))


def rows(ready):
    """Of the accounts table, but for what the poller knows of itself: on these stacks nobody connects anything."""
    stack = target(ready)
    items = stack.client("dynamodb").scan(TableName=stack.accounts, ConsistentRead=True)["Items"]
    return [item for item in items if item["pk"]["S"] != "POLLER"]


def without(resources, role, action):
    """Takes a right from a function."""
    (policy,) = resources[role]["Properties"]["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    with_it = [statement for statement in statements if action in statement.get("Action", [])]
    assert with_it, f"{role} has no {action}"
    for statement in with_it:
        statement["Action"].remove(action)
        if not statement["Action"]:
            statements.remove(statement)


def ask(ready, *arguments):
    """(exit code, names of the checks that passed, sentences of those that failed). Nothing stays in the table."""
    command = [sys.executable, ROOT / "infra/selftest.py", "--ready-file", ready, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    lines = run.stdout.splitlines()
    passed = [line.split()[1] for line in lines if line.startswith("pass")]
    failed = dict(line.removeprefix("FAIL").strip().split(": ", 1) for line in lines if line.startswith("FAIL"))
    assert run.stderr == ""
    assert rows(ready) == []
    return run.returncode, passed, failed


@pytest.fixture(scope="module")
def working(tmp_path_factory):
    with stack(tmp_path_factory.mktemp("working")) as ready:
        yield ready


def test_it_passes_on_a_stack_that_works(working):
    assert ask(working) == (0, CHECKS, {})


class Yesterday(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) - timedelta(days=1)


def test_it_removes_what_a_run_left_that_was_killed(working, monkeypatch):
    stack = target(working)
    with monkeypatch.context() as patched:
        patched.setattr(selftest_account, "datetime", Yesterday)
        patched.setattr(selftest_account, "LEFT_BEHIND", timedelta(days=2))
        killed = selftest_account.Account.made(stack)
    event = {"pk": f"ACCOUNT#{killed.id}", "sk": "EVENT#1"}
    killed.dynamodb.put_item(TableName=killed.table, Item=selftest_account.marshalled(event))
    assert ask(working) == (0, CHECKS, {})


def test_it_names_a_wrong_webhook_key(working, tmp_path):
    key = tmp_path / "key"
    key.write_text("what-the-dashboard-shows\n")
    code, passed, failed = ask(working, "--webhook-key-file", key)
    assert (code, passed) == (1, [check for check in CHECKS if check != "webhook"])
    assert failed["webhook"].startswith("the webhook key is wrong")


def test_it_names_a_webhook_that_takes_nothing(tmp_path):
    """What cannot be said then of the timeline is not said."""
    with stack(tmp_path, lambda resources: without(resources, "WebhookRole", "sqs:SendMessage")) as ready:
        code, passed, failed = ask(ready, "--patience", "8")
    assert (code, passed) == (1, [check for check in CHECKS if check not in ("webhook", "timeline")])
    assert list(failed) == ["webhook"]
    assert failed["webhook"].startswith("the webhook answers 503 to a genuine event")


def test_it_names_a_stopped_worker(tmp_path):
    with stack(tmp_path, lambda resources: resources["SyncWorkerFunction"]["Properties"].pop("Events")) as ready:
        code, passed, failed = ask(ready, "--patience", "8")
    assert (code, passed) == (1, [check for check in CHECKS if check != "timeline"])
    # The poller's census may wait beside it.
    assert re.match(r"the event does not arrive: the worker is stopped: \d+ messages wait", failed["timeline"])


def test_it_names_a_worker_that_fails(tmp_path):
    with stack(tmp_path, lambda resources: without(resources, "SyncWorkerRole", "dynamodb:PutItem")) as ready:
        code, passed, failed = ask(ready, "--patience", "8")
    assert (code, passed) == (1, [check for check in CHECKS if check != "timeline"])
    assert "the worker fails, which its log says" in failed["timeline"]


@pytest.fixture(scope="module")
def unscheduled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unscheduled")
    with stack(folder, lambda resources: resources["PollerFunction"]["Properties"].pop("Events")) as ready:
        yield ready


def test_it_names_a_missing_schedule(unscheduled):
    code, passed, failed = ask(unscheduled, "--patience", "8")
    assert (code, passed) == (1, [check for check in CHECKS if check != "schedule"])
    assert "the schedule is missing" in failed["schedule"]


def test_it_cleans_up_when_it_is_stopped(unscheduled):
    """While it waits for a schedule that never comes."""
    command = [sys.executable, ROOT / "infra/selftest.py", "--ready-file", unscheduled, "--patience", "1000"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert any(line == "pass  timeline\n" for line in run.stdout)
    assert len(rows(unscheduled)) > 2, "an account, its owner row, its timeline"
    run.send_signal(signal.SIGTERM)
    said, _ = run.communicate(timeout=60)
    assert (run.returncode, said.splitlines()[-1]) == (2, "pass  clean-up")
    assert rows(unscheduled) == []


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
