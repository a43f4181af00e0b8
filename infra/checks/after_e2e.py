"""The policies against what the end-to-end suite was seen to use. Runs after it (`tests/run` does so):

    python -m pytest infra/checks/after_e2e.py

Each grant has a test that needs it: taking any one away makes that test fail, for the local AWS endpoint refuses what
is not granted (`tests/e2e/least_privilege.rs`), and adding one makes this fail.
"""

import copy

import expand
import permissions
import pytest

TEMPLATE = expand.source()
OWN = sorted(set(permissions.grants(TEMPLATE)) - permissions.PLATFORM)


@pytest.fixture(scope="module")
def used():
    return permissions.seen()


def test_what_is_granted_is_what_is_needed(used):
    assert permissions.faults(TEMPLATE, used) == []


def statements(template, binary):
    for function in template["Resources"].values():
        if function.get("Metadata", {}).get("BuildProperties", {}).get("Binary") == binary:
            role = permissions.resource_name(function["Properties"]["Role"])
            return template["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    raise KeyError(binary)


@pytest.mark.parametrize("permission", OWN, ids=" ".join)
def test_without_it_a_named_test_fails(permission, used):
    function, action, resource = permission
    copied = copy.deepcopy(TEMPLATE)
    for statement in statements(copied, function):
        if action in statement["Action"] and "Condition" not in statement:
            if permissions.resource_name(statement["Resource"]) == resource:
                statement["Action"].remove(action)
    (fault,) = permissions.faults(copied, used)
    assert fault.startswith(f"{function} may not {action} on {resource}, which ")
    # The tests of the suite whose calls the local AWS endpoint would refuse.
    assert used[permission] and all(f"{test}" in fault and "::" in test for test in used[permission])


@pytest.mark.parametrize("function", sorted(permissions.READS))
def test_one_more_is_one_too_many(function, used):
    copied = copy.deepcopy(TEMPLATE)
    more = {"Effect": "Allow", "Action": ["dynamodb:Scan"], "Resource": {"Fn::GetAtt": ["RecordsTable", "Arn"]}}
    statements(copied, function).append(more)
    assert permissions.faults(copied, used) == [f"{function} may dynamodb:Scan on RecordsTable, which nothing needs"]
