"""What a careful platform engineer would look for in the expanded template."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import expand

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
# Installed beside the interpreter that runs this.
CFN_LINT = Path(sys.executable).with_name("cfn-lint")


@pytest.fixture(scope="module")
def template():
    return expand.expanded()


def of_type(template, kind):
    found = {name: r["Properties"] for name, r in template["Resources"].items() if r["Type"] == kind}
    assert found, f"no {kind} at all"
    return found


def statements(role):
    return [s for policy in role.get("Policies", []) for s in policy["PolicyDocument"]["Statement"]]


def as_list(value):
    return value if isinstance(value, list) else [value]


def test_cfn_lint_has_nothing_to_say(template, tmp_path):
    path = tmp_path / "expanded.json"
    expand.dump(template, path)
    lint = subprocess.run(
        [CFN_LINT, "--regions", "us-east-1", "--", str(path)], capture_output=True, text=True
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_every_function_has_a_role_of_its_own_with_exact_actions(template):
    functions = of_type(template, "AWS::Lambda::Function")
    roles = of_type(template, "AWS::IAM::Role")
    used = [function["Role"]["Fn::GetAtt"][0] for function in functions.values()]
    assert len(set(used)) == len(functions)
    for name in used:
        role = roles[name]
        assert "ManagedPolicyArns" not in role, name
        for statement in statements(role):
            assert all("*" not in action for action in as_list(statement["Action"])), name
            assert all(resource != "*" for resource in as_list(statement["Resource"])), name


def test_only_the_page_and_the_webhook_are_reached_without_a_token(template):
    routes = of_type(template, "AWS::ApiGatewayV2::Route")
    public = {r["RouteKey"] for r in routes.values() if r["AuthorizationType"] == "NONE"}
    assert public == {"GET /", "GET /assets/{path+}", "GET /config.json", "GET /openapi.json"}
    for name, route in routes.items():
        if route["AuthorizationType"] != "NONE":
            assert route["AuthorizationType"] == "JWT" and route["AuthorizationScopes"], name
    urls = of_type(template, "AWS::Lambda::Url")
    assert [url["TargetFunctionArn"] for url in urls.values()] == [{"Ref": "WebhookFunction"}]
    assert [url["AuthType"] for url in urls.values()] == ["NONE"]


def test_a_throttled_webhook_is_a_lost_event_so_nothing_reserves_its_concurrency(template):
    webhook = of_type(template, "AWS::Lambda::Function")["WebhookFunction"]
    assert "ReservedConcurrentExecutions" not in webhook


def test_the_queue_outlasts_the_worker_and_ends_in_a_dead_letter_queue(template):
    queues = of_type(template, "AWS::SQS::Queue")
    worker = of_type(template, "AWS::Lambda::Function")["SyncWorkerFunction"]
    queue = queues["SyncQueue"]
    assert queue["VisibilityTimeout"] >= 6 * worker["Timeout"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
    assert queue["FifoQueue"] and queue["DeduplicationScope"] == "messageGroup"
    assert worker["RecursiveLoop"] == "Allow"
    source = next(iter(of_type(template, "AWS::Lambda::EventSourceMapping").values()))
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"] and source["BatchSize"] == 1


def test_data_is_kept_encrypted_and_recoverable(template):
    for name, table in of_type(template, "AWS::DynamoDB::Table").items():
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], name
        assert table["DeletionProtectionEnabled"] and table["SSESpecification"]["SSEType"] == "KMS", name
        assert table["TimeToLiveSpecification"]["Enabled"], name
        assert template["Resources"][name]["DeletionPolicy"] == "Retain", name


def test_every_function_logs_to_a_group_with_a_retention(template):
    groups = of_type(template, "AWS::Logs::LogGroup")
    for name, function in of_type(template, "AWS::Lambda::Function").items():
        group = function["LoggingConfig"]["LogGroup"]["Ref"]
        assert "RetentionInDays" in groups[group], name


def test_two_stacks_can_live_in_one_account(template):
    names = {
        "AWS::DynamoDB::Table": "TableName",
        "AWS::SQS::Queue": "QueueName",
        "AWS::Lambda::Function": "FunctionName",
        "AWS::IAM::Role": "RoleName",
        "AWS::Logs::LogGroup": "LogGroupName",
        "AWS::SecretsManager::Secret": "Name",
        "AWS::Events::EventBus": "Name",
    }
    for resource in template["Resources"].values():
        name = resource.get("Properties", {}).get(names.get(resource["Type"]), None)
        assert name is None or "AWS::StackName" in str(name), resource
