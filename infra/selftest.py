#!/usr/bin/env python3
"""Self-test: asks a deployed stack whether it works, from outside, and names what does not.

    infra/selftest.py --stack tether --region eu-central-1      a stack in AWS, with your credentials
    infra/selftest.py --ready-file ready.json                   a local one (`cargo dev --ready-file ready.json`)

It signs a synthetic event with the key that is deployed and follows it through the queue, looks at the page and its
sign-in, asks the API without a token, and waits for the schedule. The event is about an account that nobody has: the
worker drops it, and nothing is left behind. Needs boto3 and, in AWS, the rights to describe the stack, to read the
webhook keys, the poller's row and the queues' attributes; to tell a schedule that is missing from a poller that fails,
it calls the poller once, which needs the right to.

Exit code 0: everything passed. 1: something failed, named. 2: it could not be asked.
"""

import argparse
import base64
import hashlib
import hmac
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from datetime import datetime, timezone

import boto3

SIGNATURE = "X-Merge-Webhook-Signature"


class Failed(Exception):
    """One sentence: what does not work, and where to look."""


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


def ask(url, method="GET", body=None, headers=None):
    """(status, headers, body) of an answer, whatever its status."""
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()
    except urllib.error.URLError as error:
        raise Failed(f"{url} does not answer: {error.reason}") from error


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


def event():
    """A webhook about an account that nobody has, as Merge would send it."""
    account = {
        "id": str(uuid.uuid4()),
        "integration": "Self-test",
        "integration_slug": "self-test",
        "category": "hris",
        "end_user_origin_id": "self-test",
        "end_user_organization_name": "Self-test",
        "end_user_email_address": "self-test@example.com",
        "status": "COMPLETE",
        "webhook_listener_url": "self-test",
        "is_duplicate": None,
        "account_type": "PRODUCTION",
    }
    hook = {"id": str(uuid.uuid4()), "event": "LinkedAccount.sync_completed", "target": "self-test"}
    return json.dumps({"hook": hook, "linked_account": account, "data": {"sync_status": {}}}).encode()


def webhook(target, arguments):
    body = event()
    status, _, _ = ask(target.webhook, "POST", body, {SIGNATURE: "A" * 43 + "="})
    if status != 401:
        raise Failed(f"the webhook answers {status} to a forged signature; it must answer 401")
    if arguments.webhook_key_file:
        with open(arguments.webhook_key_file) as file:
            key = file.read().strip()
    else:
        secret = target.client("secretsmanager").get_secret_value(SecretId=target.keys)["SecretString"]
        key = json.loads(secret)[0]
    signature = base64.urlsafe_b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()
    status, _, _ = ask(target.webhook, "POST", body, {SIGNATURE: signature})
    if status == 401:
        raise Failed("the webhook key is wrong: the webhook refuses an event that is signed with it")
    if status != 200:
        raise Failed(f"the webhook answers {status} to a genuine event; see the log of the webhook function")


def depth(target, queue):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = target.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)
    return [int(answer["Attributes"][name]) for name in names]


def worker(target, arguments):
    """Comes after the webhook: its event must leave the queue again."""
    if until(arguments.patience, lambda: True if depth(target, target.queue) == [0, 0] else None) is None:
        waiting, taken = depth(target, target.queue)
        if taken == 0:
            raise Failed(f"the worker is stopped: {waiting} messages wait in the queue and none is being worked")
        raise Failed(f"the queue is busy ({waiting} wait, {taken} are being worked): ask again when it is not")
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


CHECKS = [page, sign_in, authorizer, webhook, worker, schedule]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--stack", help="name of a stack in AWS")
    which.add_argument("--ready-file", help="ready file of a local stack")
    parser.add_argument("--region", help="AWS region of the stack (default: the environment's)")
    parser.add_argument("--webhook-key-file", help="sign with the key in this file, as Merge's dashboard shows it")
    patience = "seconds that the queue may take, the poller two and a half times as long (default 60)"
    parser.add_argument("--patience", type=int, default=60, help=patience)
    arguments = parser.parse_args()
    try:
        target = Target(arguments)
    except Exception as error:  # noqa: BLE001 - whatever the credentials, the network or the file lack
        print(f"the stack cannot be asked: {error}", file=sys.stderr)
        return 2
    failed = 0
    for check in CHECKS:
        name = check.__name__.replace("_", "-")
        try:
            check(target, arguments)
            print(f"pass  {name}")
        except Failed as failure:
            failed += 1
            print(f"FAIL  {name}: {failure}")
    print("the stack works" if not failed else f"{failed} of {len(CHECKS)} checks failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
