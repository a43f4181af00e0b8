"""The account that the self-test makes for itself, follows an event to, and removes."""

import json
import uuid
from datetime import datetime, timedelta, timezone

from boto3.dynamodb.types import TypeSerializer

# Whose the self-test's own accounts are: no provider of identities calls a customer so.
ORGANIZATION = "tether-self-test"
# No run takes so long: rows that are older are those of one that was killed.
LEFT_BEHIND = timedelta(hours=1)


class Failed(Exception):
    """One sentence: what does not work, and where to look."""


class Account:
    """An account that only the self-test has, as its rows in the accounts table. It is gone at Merge's side: what comes
    about it is noted in its timeline, and leads to nothing else. No minute of the poller's finds it."""

    def __init__(self, target, account=None, merge_id=None):
        self.dynamodb, self.table = target.client("dynamodb"), target.accounts
        self.id, self.merge_id = account or str(uuid.uuid4()), merge_id or str(uuid.uuid4())
        self.owner = {"pk": f"MERGE#{self.merge_id}", "sk": "OWNER"}
        self.account = {"pk": f"ORG#{ORGANIZATION}", "sk": f"ACCOUNT#{self.id}"}
        # Whether the webhook has taken an event about it.
        self.taken = False

    @classmethod
    def made(cls, target):
        """A new one, in the table."""
        account = cls(target)
        try:
            account.put()
        except BaseException:
            account.erase()
            raise
        return account

    def put(self):
        now = datetime.now(timezone.utc)
        at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        account = {
            **self.account,
            "organization": ORGANIZATION,
            "id": self.id,
            "category": "hris",
            "status": "DELETED",
            "status_since": at,
            "merge_id": self.merge_id,
            "origin_id": "self-test",
            "integration": {"name": "Self-test", "slug": "self-test"},
            "token": b"none",
            "duplicate_ignored": False,
            "facts": {"records": 0, "initial_sync_completed": False},
            "chain": 0,
            # The first minute of all: it is over.
            "due": "at#0",
            "due_class": "at#0",
            "due_at": now.strftime("%Y-%m-%dT%H:%M:%S.000000000Z"),
            "created_by": "self-test",
            "created_at": at,
            "updated_at": at,
            "version": 0,
        }
        for row in (account, {**self.owner, "organization": ORGANIZATION, "account": self.id}):
            # Should this run be killed before it can remove them.
            row["ttl"] = int((now + LEFT_BEHIND).timestamp())
            self.dynamodb.put_item(TableName=self.table, Item=marshalled(row))

    def event(self):
        """A webhook about it, as Merge would send it: an issue, which the worker notes without asking Merge."""
        account = {
            "id": self.merge_id,
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
        issue = {"id": str(uuid.uuid4()), "status": "ONGOING", "error_description": "Third-party API offline"}
        hook = {"id": str(uuid.uuid4()), "event": "Issue.new", "target": "self-test"}
        return json.dumps({"hook": hook, "linked_account": account, "data": issue}).encode()

    def rows(self):
        """Keys of what was written about it."""
        query = self.dynamodb.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression="pk = :pk",
            ProjectionExpression="pk, sk",
            ExpressionAttributeValues={":pk": {"S": f"ACCOUNT#{self.id}"}},
            ConsistentRead=True,
        )
        return [item for page in query for item in page["Items"]]

    def tells(self):
        """Whether its timeline has an event. There is one only."""
        return any(row["sk"]["S"].startswith("EVENT#") for row in self.rows())

    def erase(self):
        """Removes every row; first those by which the worker finds it, so that nothing is added behind."""
        for key in (self.owner, self.account):
            self.dynamodb.delete_item(TableName=self.table, Key=marshalled(key))
        for row in self.rows():
            self.dynamodb.delete_item(TableName=self.table, Key=row)
        if left := len(self.rows()):
            raise Failed(f"{left} rows of the self-test's account {self.id} stay in the table {self.table}")


def marshalled(item):
    return {name: TypeSerializer().serialize(value) for name, value in item.items()}


def erase_leftovers(target):
    """Removes the accounts of earlier runs that were killed."""
    before = (datetime.now(timezone.utc) - LEFT_BEHIND).strftime("%Y-%m-%dT%H:%M:%SZ")
    query = target.client("dynamodb").get_paginator("query").paginate(
        TableName=target.accounts,
        KeyConditionExpression="pk = :pk AND begins_with(sk, :account)",
        ExpressionAttributeValues={":pk": {"S": f"ORG#{ORGANIZATION}"}, ":account": {"S": "ACCOUNT#"}},
        ConsistentRead=True,
    )
    for item in [item for page in query for item in page["Items"]]:
        if item["created_at"]["S"] < before:
            Account(target, item["id"]["S"], item["merge_id"]["S"]).erase()
