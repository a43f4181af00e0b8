"""The policies against what the end-to-end suite was seen to use. Runs after it (`tests/run` does so):

    python -m pytest infra/checks/after_e2e.py

Each grant of a function's own has tests that need it: taking it away makes them fail, for the local AWS endpoint refuses
what is not granted (`tests/e2e/least_privilege.rs`) and the harness accepts no refusal. Adding one makes this fail. Both
are tried here on copies of the template, for every action of every policy and for every action that any policy has.
"""

import copy

import expand
import permissions
import pytest

TEMPLATE = expand.source()
GRANTED = sorted(permissions.grants(TEMPLATE))
# What AWS itself needs can be missed by no test.
OWN = sorted(set(GRANTED) - permissions.platform(TEMPLATE, GRANTED))


@pytest.fixture(scope="module")
def used():
    return permissions.seen()


def test_what_is_granted_is_what_is_needed(used):
    assert permissions.faults(TEMPLATE, used) == []


def without(permission):
    """A copy of the template whose policies do not grant it."""
    function, action, resource = permission
    copied = copy.deepcopy(TEMPLATE)
    for statement in permissions.statements(permissions.role_of(copied, function)):
        if permissions.resource_of(statement) == resource and action in statement["Action"]:
            statement["Action"].remove(action)
    return copied


@pytest.mark.parametrize("permission", OWN, ids=" ".join)
def test_without_it_a_named_test_fails(permission, used):
    function, action, resource = permission
    (fault,) = permissions.faults(without(permission), used)
    said, _, tests = fault.partition(", which is needed by: ")
    assert said == f"{function} may not {action} on {resource}"
    # The tests, `file::test` of tests/e2e, that were running when it was first needed: one of them makes the call.
    assert tests.split(", ") == used[permission] and all("::" in test for test in used[permission])


@pytest.mark.parametrize("permission", sorted(set(GRANTED) - set(OWN)), ids=" ".join)
def test_what_aws_itself_needs_is_missed(permission, used):
    function, action, resource = permission
    (fault,) = permissions.faults(without(permission), used)
    assert fault.startswith(f"{function} may not {action} on {resource}, which is needed by: ")


@pytest.mark.parametrize("function", sorted(permissions.functions(TEMPLATE)))
def test_one_more_is_one_too_many(function, used):
    everybodys = {(action, resource) for _, action, resource in GRANTED if " via " not in resource}
    others = sorted(more for more in everybodys if (function, *more) not in GRANTED)
    assert others
    copied = copy.deepcopy(TEMPLATE)
    (policy,) = permissions.role_of(copied, function)["Properties"]["Policies"]
    granted = policy["PolicyDocument"]["Statement"]
    for action, resource in [*others, ("dynamodb:Scan", "RecordsTable")]:
        granted.append({"Effect": "Allow", "Action": [action], "Resource": {"Fn::GetAtt": [resource, "Arn"]}})
        assert permissions.faults(copied, used) == [f"{function} may {action} on {resource}, which nothing needs"]
        granted.pop()
