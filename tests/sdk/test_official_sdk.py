"""Merge's official Python SDK, unmodified, against the sandbox.

It starts the built sandbox itself: MERGE_SANDBOX_BIN names the binary. With SANDBOX_BASE (`http://…/api`) it uses a
sandbox that already runs. Every answer is parsed by the SDK's own types.
"""

import csv
import json
import os
import pathlib
import subprocess
import time
import urllib.request

import pytest
from merge.client import Merge
from merge.core.api_error import ApiError

TABLE = pathlib.Path(__file__).parent.parent / "merge-sandbox" / "data" / "models.csv"
# (model id, the SDK's attribute): every list that is not nested. The attribute follows from the path, not from the name.
LISTS = [
    (row["model_id"], row["list_path"].split("/v1/")[1].replace("-", "_"))
    for row in csv.DictReader(TABLE.open())
    if "{" not in row["list_path"]
]
HRIS = [model_id for model_id, _ in LISTS if model_id.startswith("hris.")]
INTEGRATIONS = {
    "hris": "bamboohr", "ats": "greenhouse", "crm": "salesforce", "accounting": "xero", "ticketing": "jira",
    "filestorage": "box", "knowledgebase": "notion",
}
ORIGIN = "org_sdk_hris_1"
API_KEY = "dev-api-key"


class Sandbox:
    """The sandbox's address, and its control API."""

    def __init__(self, base):
        self.base = base
        self.root = base.removesuffix("/api")

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.root + path, data=data, timeout=30) as answer:
            return json.load(answer)

    def account(self, account_id):
        accounts = self.call("/_sandbox/state")["accounts"]
        return next(account for account in accounts if account["id"] == account_id)


@pytest.fixture(scope="session")
def sandbox():
    if base := os.environ.get("SANDBOX_BASE"):
        yield Sandbox(base)
        return
    binary = os.environ["MERGE_SANDBOX_BIN"]
    arguments = [binary, "--listen", "127.0.0.1:0", "--employees", "230", "--speed", "20", "--no-webhooks"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        # The first line it prints is its address: it listens by then.
        yield Sandbox(process.stdout.readline().strip())
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture(scope="session")
def organization(sandbox):
    """The SDK as it is used before there is an account."""
    return Merge(api_key=API_KEY, base_url=sandbox.base)


@pytest.fixture(scope="session")
def link(sandbox, organization):
    """Links an account of a category through the SDK and waits for its initial sync: (account id, client)."""
    done = {}

    def of(category):
        if category in done:
            return done[category]
        resources = getattr(organization, category)
        token = resources.link_token.create(
            end_user_email_address="ada@acme.example",
            end_user_organization_name="Acme",
            end_user_origin_id=ORIGIN,
            categories=[category],
        )
        slug = INTEGRATIONS[category]
        attempt = {"link_token": token.link_token, "integration_slug": slug, "outcome": "success"}
        public_token = sandbox.call("/_sandbox/link", attempt)["public_token"]
        account = resources.account_token.retrieve(public_token)
        assert account.integration.slug == slug
        client = Merge(api_key=API_KEY, account_token=account.account_token, base_url=sandbox.base)
        deadline = time.monotonic() + 60
        while any(sync.is_initial_sync for sync in pages(getattr(client, category).sync_status.list)):
            assert time.monotonic() < deadline, "the initial sync does not end"
        done[category] = (account.id, client)
        return done[category]

    return of


@pytest.fixture
def linked(link):
    return link("hris")


def pages(list_page, **parameters):
    """All results, from the first page to the last."""
    results, cursor = [], None
    while True:
        page = list_page(cursor=cursor, **parameters) if cursor else list_page(**parameters)
        results.extend(page.results)
        cursor = page.next
        if not cursor:
            return results


# The SDK's union types (a file's permissions) are not comparable as objects, and its serializer warns of them as text.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize(("model_id", "attribute"), LISTS)
def test_every_list_is_read_to_its_last_page(sandbox, link, model_id, attribute):
    category = model_id.split(".")[0]
    account_id, client = link(category)
    resource = getattr(getattr(client, category), attribute)
    expected = sandbox.account(account_id)["models"][model_id]["records"]
    records = pages(resource.list, page_size=50)
    assert expected > 0
    assert len(records) == expected
    assert all(record.created_at.tzinfo and record.modified_at.tzinfo for record in records)
    # A Tag of ats has no id, neither at Merge nor here.
    if model_id != "ats.Tag":
        assert len({record.id for record in records}) == expected
        if hasattr(resource, "retrieve"):
            assert resource.retrieve(id=records[-1].id).json() == records[-1].json()


def test_a_delta_by_the_sdks_own_datetimes_is_what_changed(sandbox, linked):
    account_id, client = linked
    employee = next(sync for sync in pages(client.hris.sync_status.list) if sync.model_id == "hris.Employee")
    before = employee.last_sync_finished
    control = f"/_sandbox/accounts/{account_id}"
    changed = sandbox.call(f"{control}/mutate", {"model_id": "hris.Employee", "count": 12})["ids"]
    deleted = sandbox.call(f"{control}/delete-records", {"model_id": "hris.Employee", "count": 3})["ids"]
    sandbox.call(f"{control}/start-sync", {"models": ["hris.Employee"], "duration_ms": 50})
    deadline = time.monotonic() + 30
    while True:
        delta = pages(client.hris.employees.list, modified_after=before, include_deleted_data=True, page_size=5)
        if len(delta) >= 15:
            break
        assert time.monotonic() < deadline, f"{len(delta)} records"
    assert {record.id for record in delta} == {*changed, *deleted}
    assert {record.id for record in delta if record.remote_was_deleted} == set(deleted)


def test_account_details_linked_accounts_and_issues(sandbox, organization, linked):
    account_id, client = linked
    details = client.hris.account_details.retrieve()
    assert (details.id, details.end_user_origin_id, details.category) == (account_id, ORIGIN, "hris")
    assert (details.status, details.account_type, details.integration) == ("COMPLETE", "PRODUCTION", "BambooHR")

    accounts = pages(organization.hris.linked_accounts.list, end_user_origin_id=ORIGIN, category="hris")
    assert [account.id for account in accounts] == [account_id]
    assert accounts[0].integration.slug == "bamboohr"
    assert accounts[0].completed_at

    assert pages(organization.hris.issues.list, linked_account_id=account_id) == []
    opened = sandbox.call(f"/_sandbox/accounts/{account_id}/issue", {"kind": "expired_mfa"})["id"]
    issues = pages(organization.hris.issues.list, linked_account_id=account_id, status="ONGOING")
    assert [issue.id for issue in issues] == [opened]
    assert organization.hris.issues.retrieve(id=opened).error_description == issues[0].error_description
    sandbox.call(f"/_sandbox/accounts/{account_id}/resolve-issue", {})
    assert pages(organization.hris.issues.list, linked_account_id=account_id, status="ONGOING") == []


def test_sync_status_and_resync(linked):
    _, client = linked
    syncs = pages(client.hris.sync_status.list, page_size=3)
    assert [sync.model_id for sync in syncs] == HRIS
    assert all(sync.last_sync_finished.tzinfo for sync in syncs)
    assert len(client.hris.force_resync.sync_status_resync_create()) == len(HRIS)


def test_errors_reach_the_caller_as_the_sdk_shapes_them(sandbox, organization):
    with pytest.raises(ApiError) as missing:
        organization.hris.employees.list()
    assert missing.value.status_code == 401
    assert missing.value.body == {"detail": "Account Token must be passed in as an X-Account-Token header."}
    with pytest.raises(ApiError) as unknown:
        organization.hris.account_token.retrieve("used-up")
    assert unknown.value.status_code == 400


def test_regenerating_and_deleting(sandbox, organization):
    token = organization.hris.link_token.create(
        end_user_email_address="ada@acme.example",
        end_user_organization_name="Acme",
        end_user_origin_id="org_sdk_hris_2",
        categories=["hris"],
        integration="hibob",
    )
    assert token.integration_name == "HiBob"
    linked = sandbox.call("/_sandbox/link", {"link_token": token.link_token, "outcome": "success"})
    account = organization.hris.account_token.retrieve(linked["public_token"])
    client = Merge(api_key=API_KEY, account_token=account.account_token, base_url=sandbox.base)
    renewed = client.hris.account_token.regenerate_create()
    assert renewed.linked_account_id == account.id
    client = Merge(api_key=API_KEY, account_token=renewed.account_token, base_url=sandbox.base)
    client.hris.delete_account.delete()
    with pytest.raises(ApiError) as gone:
        client.hris.account_details.retrieve()
    assert gone.value.status_code == 401
