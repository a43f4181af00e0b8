"""The other contender: the same backend the way Merge's guide describes it, with boto3 and Merge's own SDK.

It does what the guide does and no more: a table of linked accounts, the four handlers below, records written one batch
after the other. It has none of Tether's promises; it is here to be measured.
"""

import base64
import hashlib
import hmac
import json
import os
import uuid

import boto3
from merge.client import Merge

tables = boto3.resource("dynamodb")
table = tables.Table(os.environ["TABLE"])
records = tables.Table(os.environ["RECORDS"])
queue = boto3.client("sqs")
secrets = boto3.client("secretsmanager")


def secret(variable):
    return secrets.get_secret_value(SecretId=os.environ[variable])["SecretString"]


api_key = secret("MERGE_API_KEY_SECRET")
webhook_key = secret("WEBHOOK_KEY_SECRET")


def merge(account_token=None):
    return Merge(api_key=api_key, account_token=account_token, base_url=os.environ["MERGE_BASE_URL"])


def answer(status, body):
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}


def link_token(event, _context):
    organization = event["requestContext"]["authorizer"]["jwt"]["claims"]["org_id"]
    category = json.loads(event["body"])["category"]
    pending = {"pk": f"ORG#{organization}", "sk": f"PENDING#{category}"}
    item = table.get_item(Key=pending).get("Item")
    if item is None:
        item = {**pending, "origin_id": f"{organization}_{category}_{uuid.uuid4()}"}
        table.put_item(Item=item)
    made = getattr(merge(), category).link_token.create(
        end_user_email_address="admin@example.com",
        end_user_organization_name=organization,
        end_user_origin_id=item["origin_id"],
        categories=[category],
    )
    return answer(201, {"link_token": made.link_token})


def exchange(event, _context):
    organization = event["requestContext"]["authorizer"]["jwt"]["claims"]["org_id"]
    body = json.loads(event["body"])
    category = body["category"]
    account = getattr(merge(), category).account_token.retrieve(body["public_token"])
    item = {"pk": f"ORG#{organization}", "sk": f"ACCOUNT#{account.id}"}
    table.put_item(Item={**item, "token": account.account_token, "category": category})
    return answer(201, {"id": account.id})


def webhook(event, _context):
    raw = event["body"].encode()
    if event.get("isBase64Encoded"):
        raw = base64.b64decode(raw)
    expected = base64.urlsafe_b64encode(hmac.new(webhook_key.encode(), raw, hashlib.sha256).digest()).decode()
    given = event["headers"].get("x-merge-webhook-signature", "")
    if not hmac.compare_digest(expected.rstrip("="), given.rstrip("=")):
        return answer(401, {})
    payload = json.loads(raw)
    account = payload["linked_account"]["id"]
    queue.send_message(
        QueueUrl=os.environ["QUEUE_URL"],
        MessageBody=json.dumps({"account": account, "event": payload["hook"]["event"]}),
        MessageGroupId=account,
        MessageDeduplicationId=hashlib.sha256(raw).hexdigest(),
    )
    return answer(200, {})


def sync(event, _context):
    """Reads all employees of an account and stores them; how many."""
    client = merge(event["account_token"])
    stored, cursor = 0, None
    while True:
        page = client.hris.employees.list(cursor=cursor, page_size=100, include_deleted_data=True)
        with records.batch_writer() as batch:
            for employee in page.results or []:
                batch.put_item(Item={"pk": "employees", "sk": employee.id, "data": employee.json()})
                stored += 1
        cursor = page.next
        if not cursor:
            return {"statusCode": 200, "stored": stored}
