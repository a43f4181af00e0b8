#!/usr/bin/env python3
"""Self-test: asks a deployed stack whether it works, from outside, and names what does not.

    infra/selftest.py --stack tether --region eu-central-1      a stack in AWS, with your credentials
    infra/selftest.py --ready-file ready.json                   a local one (`cargo dev --ready-file ready.json`)

It looks at the page and its sign-in and asks the API without a token. It signs a synthetic event with the key that is
deployed and follows it through the queue into the timeline of an account; then it looks at the dead letters and waits
for the schedule. The account is the self-test's own: it counts as gone at Merge's side, so that nobody is called, told or
polled for its sake, and its rows are removed at the end, those of a run that was killed by a later one.

Needs boto3 and, in AWS, the rights to describe the stack, to read the webhook keys and the queues' attributes, and to
get, put, query and delete in the accounts table; to tell a schedule that is missing from a poller that fails, it calls
the poller once, which needs the right to.

Exit code 0: everything passed. 1: something failed, named. 2: it could not be asked.
"""

import argparse
import base64
import hashlib
import hmac
import http.client
import json
import signal
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from selftest_account import Account, Failed, erase_leftovers

SIGNATURE = "X-Merge-Webhook-Signature"


class Skipped(Exception):
    """One sentence: why nothing can be said, for something else has failed."""


class Target:
    """Where the stack is, whether in AWS or on this machine."""

    def __init__(self, arguments):
        if arguments.ready_file:
            with open(arguments.ready_file) as file:
                ready = json.load(file)
            credentials = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
            self.session = boto3.Session(region_name=ready["region"], **credentials)
            self.endpoint = ready["aws"]
            self.page, self.webhook = ready["page"].rstrip("/"), ready["webhook"]
            self.accounts, self.queue = ready["tables"]["accounts"], ready["queue_url"]
            self.dead_letters = ready["dlq_url"]
            self.keys = self.accounts.replace("AccountsTable", "WebhookKeysSecret")
            self.poller = None
        else:
            self.session = boto3.Session(region_name=arguments.region)
            self.endpoint = None
            stack = self.client("cloudformation").describe_stacks(StackName=arguments.stack)["Stacks"][0]
            outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
            self.page, self.webhook = outputs["PageUrl"], outputs["WebhookUrl"]
            self.accounts, self.queue = outputs["AccountsTableName"], outputs["SyncQueueUrl"]
            self.dead_letters = outputs["SyncDeadLetterQueueUrl"]
            self.keys, self.poller = outputs["WebhookKeysSecretArn"], outputs["PollerFunctionName"]

    def client(self, service):
        return self.session.client(service, endpoint_url=self.endpoint)

    def deployed_key(self):
        """The newest of the keys that the webhook takes."""
        secret = self.client("secretsmanager").get_secret_value(SecretId=self.keys)["SecretString"]
        return json.loads(secret)[0]


def ask(url, method="GET", body=None, headers=None):
    """(status, headers, body) of an answer, whatever its status."""
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{url} does not answer: {getattr(error, 'reason', error)}") from error


def until(seconds, probe):
    """The first answer of `probe` that is not None; None when the time is up."""
    end = time.monotonic() + seconds
    while True:
        found = probe()
        if found is not None or time.monotonic() >= end:
            return found
        time.sleep(1)


def page(target, _):
    status, headers, _ = ask(target.page + "/")
    if status != 200:
        raise Failed(f"the page answers {status}; see the log of the page function")
    if "default-src 'none'" not in headers.get("content-security-policy", ""):
        raise Failed("the page has no Content-Security-Policy")


def sign_in(target, _):
    status, _, body = ask(target.page + "/config.json")
    if status != 200:
        raise Failed(f"/config.json answers {status}; see the log of the page function")
    config = json.loads(body)
    status, _, body = ask(config["issuer"].rstrip("/") + "/.well-known/openid-configuration")
    if status != 200:
        raise Failed(f"the issuer {config['issuer']} answers {status} to discovery; see the parameter OidcIssuer")
    if json.loads(body).get("issuer", "").rstrip("/") != config["issuer"].rstrip("/"):
        raise Failed(f"the issuer {config['issuer']} calls itself {json.loads(body).get('issuer')}")


def authorizer(target, _):
    for what, headers in (("no token", {}), ("a forged token", {"Authorization": "Bearer e30.e30.e30"})):
        status, _, _ = ask(target.page + "/v1/linked-accounts", headers=headers)
        if status != 401:
            raise Failed(f"the API answers {status} to {what}; it must answer 401")


def post(target, body, key):
    signature = base64.urlsafe_b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()
    status, _, _ = ask(target.webhook, "POST", body, {SIGNATURE: signature})
    if status == 401:
        raise Failed("the webhook key is wrong: the webhook refuses an event that is signed with it")
    if status != 200:
        raise Failed(f"the webhook answers {status} to a genuine event; see the log of the webhook function")
    target.account.taken = True


def webhook(target, arguments):
    body = target.account.event()
    status, _, _ = ask(target.webhook, "POST", body, {SIGNATURE: "A" * 43 + "="})
    if status != 401:
        raise Failed(f"the webhook answers {status} to a forged signature; it must answer 401")
    if arguments.webhook_key_file:
        with open(arguments.webhook_key_file) as file:
            key = file.read().strip()
    else:
        key = target.deployed_key()
    post(target, body, key)


def timeline(target, arguments):
    """Comes after the webhook: its event must go through the queue into its account's timeline."""
    if not target.account.taken:
        # Whatever is wrong with the dashboard's key, the one that is deployed may work.
        try:
            post(target, target.account.event(), target.deployed_key())
        except Failed as failure:
            raise Skipped("the webhook takes no event") from failure
    if until(arguments.patience, lambda: target.account.tells() or None) is None:
        raise Failed(f"the event does not arrive: {why_no_event(target)}")


def why_no_event(target):
    waiting, taken = depth(target, target.queue)
    if waiting and not taken:
        return f"the worker is stopped: {waiting} messages wait in the queue and none is being worked"
    if taken:
        return (
            f"{waiting} messages wait in the queue and {taken} are being worked: the worker fails, which its log says, "
            "or has too much to do; ask again when it has less"
        )
    return "it has left the queue, but the timeline does not show it; see the log of the worker"


def depth(target, queue):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = target.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)
    return [int(answer["Attributes"][name]) for name in names]


def dead_letters(target, _):
    dead = sum(depth(target, target.dead_letters))
    if dead:
        raise Failed(f"{dead} messages are in the dead-letter queue; see the runbook, dead letters")


def schedule(target, arguments):
    """The poller notes every minute that it has finished."""
    dynamodb = target.client("dynamodb")

    def minute():
        key = {"pk": {"S": "POLLER"}, "sk": {"S": "TICK"}}
        item = dynamodb.get_item(TableName=target.accounts, Key=key, ConsistentRead=True).get("Item")
        progress = json.loads(item["progress"]["S"]) if item else {"done": -1}
        # Beyond a gap that it is still closing, the poller is ahead.
        return (progress.get("ahead") or [progress["done"]])[-1]

    before, patience = minute(), 2.5 * arguments.patience
    if until(patience, lambda: True if minute() > before else None) is None:
        raise Failed(f"no run of the poller was finished for {patience:.0f} seconds: {why_no_run(target)}")


def why_no_run(target):
    """What keeps the poller from its work, where the stack can be asked to call it."""
    if target.poller is None:
        return "the schedule is missing, or the poller's log says why it fails"
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = target.client("lambda").invoke(
        FunctionName=target.poller, Qualifier="live", Payload=json.dumps({"scheduled_time": now}).encode()
    )
    if "FunctionError" in answer:
        return f"the poller fails: {json.loads(answer['Payload'].read()).get('errorMessage', answer['FunctionError'])}"
    return "the schedule is missing or disabled, for the poller works when it is called"


def clean_up(target, _):
    target.account.erase()


# What comes last comes whatever happens before.
CHECKS = [page, sign_in, authorizer, webhook, timeline, dead_letters, schedule, clean_up]


def passes(check, target, arguments):
    """Whether a check passed, after saying what came of it."""
    name = check.__name__.replace("_", "-")
    try:
        check(target, arguments)
    except Skipped as reason:
        print(f"skip  {name}: {reason}")
    except Failed as failure:
        print(f"FAIL  {name}: {failure}")
        return False
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        print(f"FAIL  {name}: {error}")
        return False
    else:
        print(f"pass  {name}")
    return True


def terminated(*_):
    sys.exit(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--stack", help="name of a stack in AWS")
    which.add_argument("--ready-file", help="ready file of a local stack")
    parser.add_argument("--region", help="AWS region of the stack (default: the environment's)")
    parser.add_argument("--webhook-key-file", help="sign with the key in this file, as Merge's dashboard shows it")
    patience = "seconds that the worker may take, the poller two and a half times as long (default 60)"
    parser.add_argument("--patience", type=int, default=60, help=patience)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, terminated)
    sys.stdout.reconfigure(line_buffering=True)
    try:
        target = Target(arguments)
        erase_leftovers(target)
        target.account = Account.made(target)
    except Exception as error:  # noqa: BLE001 - whatever the credentials, the network or the file lack
        print(f"the stack cannot be asked: {error}", file=sys.stderr)
        return 2
    *checks, last = CHECKS
    try:
        failed = sum(not passes(check, target, arguments) for check in checks)
    finally:
        failed_last = not passes(last, target, arguments)
    failed += failed_last
    print("the stack works" if not failed else f"{failed} of {len(CHECKS)} checks failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
