"""What a careful platform engineer would look for in the expanded template, one rule a function.

A rule takes the expanded template and gives its faults, as sentences; none when all is well. `test_template.py` wants
no fault from any rule, `test_mistakes.py` that each rule finds the mistake it is there for.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import environment
import expand
from lookup import as_list, names_in, of_type, statements, texts

# Installed beside the interpreter that runs this.
CFN_LINT = Path(sys.executable).with_name("cfn-lint")

PUBLIC_ROUTES = {"GET /", "GET /assets/{path+}", "GET /config.json", "GET /openapi.json"}


def cfn_lint(template, tmp_path):
    """Everything cfn-lint says. W2001 is asked of the source instead: SAM itself uses up some parameters."""
    path = Path(tmp_path) / "expanded.json"
    expand.dump(template, path)
    command = [CFN_LINT, "--regions", "us-east-1", "eu-central-1", "ap-southeast-2", "--ignore-checks", "W2001"]
    lint = subprocess.run([*command, "--", str(path)], capture_output=True, text=True)
    return [] if lint.returncode == 0 else (lint.stdout + lint.stderr).strip().split("\n\n")


def every_parameter_is_used(source):
    used = set(names_in({key: value for key, value in source.items() if key != "Parameters"}))
    return [f"{name} is used nowhere" for name in source["Parameters"] if name not in used]


def runtime(template):
    for name, function in of_type(template, "AWS::Lambda::Function").items():
        if function["Runtime"] != "provided.al2023" or function["Architectures"] != ["arm64"]:
            yield f"{name} runs on {function['Runtime']} {function['Architectures']}"
        if function["Handler"] != "bootstrap":
            yield f"{name} has the handler {function['Handler']}"
        if function.get("TracingConfig") != {"Mode": "Active"}:
            yield f"{name} is not traced"


def roles_of_functions(template):
    roles = of_type(template, "AWS::IAM::Role")
    for name, function in of_type(template, "AWS::Lambda::Function").items():
        role = function["Role"]["Fn::GetAtt"][0]
        yield name, role, roles[role]


# What else than everything may be a resource with a wildcard, by role.
WILDCARDS = {
    "DeploymentRole": (
        # CodeDeploy moves an alias between versions, whose numbers nobody knows before.
        r"\$\{\w+Function\.Arn\}:\*",
        # It looks at alarms, which CloudFormation names after the stack.
        r"arn:.*:cloudwatch:.*:alarm:\$\{AWS::StackName\}-\*",
    ),
}


def roles(template):
    """A role of its own for each function, exact actions on exact resources, nothing managed."""
    seen = {}
    for function, name, _ in roles_of_functions(template):
        if name in seen:
            yield f"{function} shares its role with {seen[name]}"
        seen[name] = function
    for name, role in of_type(template, "AWS::IAM::Role").items():
        if "ManagedPolicyArns" in role:
            yield f"{name} has managed policies"
        for statement in statements(role):
            actions, resources = as_list(statement["Action"]), as_list(statement["Resource"])
            # X-Ray knows no resources.
            tracing = all(action.startswith("xray:Put") for action in actions)
            yield from (f"{name} may {action}" for action in actions if "*" in action)
            if not tracing:
                yield from (f"{name} may {actions} on {r}" for r in texts(resources) if is_wild(name, r))
            if any("NotAction" in key or "NotResource" in key for key in statement):
                yield f"{name} is allowed all but something"


def is_wild(role, resource):
    allowed = WILDCARDS.get(role, ())
    return ("*" in resource or "?" in resource) and not any(re.fullmatch(known, resource) for known in allowed)


def routes(template):
    for name, route in of_type(template, "AWS::ApiGatewayV2::Route").items():
        key = route["RouteKey"]
        if key in PUBLIC_ROUTES:
            continue
        if route.get("AuthorizationType") != "JWT" or "AuthorizerId" not in route:
            yield f"{name} ({key}) has no authorizer"
        if not route.get("AuthorizationScopes"):
            yield f"{name} ({key}) wants no scope"


def function_url(template):
    urls = of_type(template, "AWS::Lambda::Url")
    for name, url in urls.items():
        # A conditional one: SAM would leave the permissions away.
        if url["AuthType"] != "NONE":
            yield f"{name} has the AuthType {url['AuthType']}"
        permissions = of_type(template, "AWS::Lambda::Permission").values()
        public = {p["Action"] for p in permissions if p["Principal"] == "*"}
        if public != {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}:
            yield f"{name} may be called with {sorted(public)}"
        for permission in permissions:
            if permission["Principal"] != "*":
                continue
            if not (permission.get("FunctionUrlAuthType") or permission.get("InvokedViaFunctionUrl")):
                yield "everybody may invoke a function without its URL"
    if [url["TargetFunctionArn"] for url in urls.values()] != [{"Ref": "WebhookFunctionAliaslive"}]:
        yield "the webhook's is not the only function URL"


def webhook_concurrency(template):
    """A throttled webhook is answered 429, which Merge does not send again: a lost event."""
    webhook = of_type(template, "AWS::Lambda::Function")["WebhookFunction"]
    if "ReservedConcurrentExecutions" in webhook:
        yield "the webhook's concurrency is reserved"


def queues(template):
    found = of_type(template, "AWS::SQS::Queue")
    functions = of_type(template, "AWS::Lambda::Function")
    targets = set()
    for name, queue in found.items():
        if not (queue.get("SqsManagedSseEnabled") or "KmsMasterKeyId" in queue):
            yield f"{name} is not encrypted"
        if "RedrivePolicy" in queue:
            target = queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
            targets.add(target)
            if bool(found[target].get("FifoQueue")) != bool(queue.get("FifoQueue")):
                yield f"{name} and its dead-letter queue are of two kinds"
    for name, source in of_type(template, "AWS::Lambda::EventSourceMapping").items():
        queue = source["EventSourceArn"]["Fn::GetAtt"][0]
        alias = source["FunctionName"]["Ref"]
        function = functions[alias.removesuffix("Aliaslive")]
        if "RedrivePolicy" not in found[queue]:
            yield f"{queue} has no dead-letter queue"
        elif found[queue]["RedrivePolicy"]["maxReceiveCount"] < 5:
            yield f"{queue} gives up too early"
        if found[queue].get("VisibilityTimeout", 30) < 6 * function["Timeout"]:
            yield f"{queue} is visible again before {alias} is sure to be done"
        if source.get("FunctionResponseTypes") != ["ReportBatchItemFailures"] or source["BatchSize"] != 1:
            yield f"{name} does not take messages one by one"
        if "MaximumConcurrency" not in source.get("ScalingConfig", {}):
            yield f"{name} has no maximum concurrency"
        if function.get("RecursiveLoop") != "Allow":
            yield f"AWS ends the chains of {alias} after 16 hops"


# Queues without a dead-letter queue and an alarm.
WITHOUT = {
    # Copies of test accounts' webhooks for developers: gone after five minutes; the webhooks went to the worker's queue.
    "RelayQueue",
}


def dead_letters_and_alarms(template):
    """Every queue has a dead-letter queue, or is one, and an alarm: on the age of what is to be worked, on anything in
    what was not."""
    found = of_type(template, "AWS::SQS::Queue")
    yield from (f"{name} is no queue of the template" for name in sorted(WITHOUT - set(found)))
    ends = {end for queue in found.values() for end in names_in(queue.get("RedrivePolicy", {}))}
    for schedule in of_type(template, "AWS::Scheduler::Schedule").values():
        ends |= set(names_in(schedule["Target"].get("DeadLetterConfig", {})))
    for configured in of_type(template, "AWS::Lambda::EventInvokeConfig").values():
        ends |= set(names_in(configured.get("DestinationConfig", {}).get("OnFailure", {})))
    watched = {
        (queue, alarm["MetricName"])
        for alarm in of_type(template, "AWS::CloudWatch::Alarm").values()
        if alarm["Namespace"] == "AWS/SQS"
        for queue in names_in(alarm["Dimensions"])
    }
    for name, queue in found.items():
        if name in WITHOUT:
            continue
        if "RedrivePolicy" not in queue and name not in ends:
            yield f"{name} has no dead-letter queue, and is none"
        metric = "ApproximateNumberOfMessagesVisible" if name in ends else "ApproximateAgeOfOldestMessage"
        if (name, metric) not in watched:
            yield f"no alarm watches the {metric} of {name}"


def asynchronous_calls_end_somewhere(template):
    configured = {c["FunctionName"]["Ref"]: c for c in of_type(template, "AWS::Lambda::EventInvokeConfig").values()}
    for name, schedule in of_type(template, "AWS::Scheduler::Schedule").items():
        if "DeadLetterConfig" not in schedule["Target"]:
            yield f"{name} has no dead-letter queue"
        if "Name" in schedule:
            yield f"{name} has a fixed name"
        function = schedule["Target"]["Arn"]["Ref"].removesuffix("Aliaslive")
        destination = configured.get(function, {}).get("DestinationConfig", {}).get("OnFailure", {})
        if not destination:
            yield f"{function} is called asynchronously and has no destination for failures"


def data(template):
    for name, table in of_type(template, "AWS::DynamoDB::Table").items():
        if not table.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled"):
            yield f"{name} cannot be restored"
        if not table.get("DeletionProtectionEnabled"):
            yield f"{name} is not protected"
        if "KMSMasterKeyId" not in table.get("SSESpecification", {}):
            yield f"{name} is not encrypted with our key"
        if not table.get("TimeToLiveSpecification", {}).get("Enabled"):
            yield f"{name} keeps everything"
        if table.get("BillingMode") != "PAY_PER_REQUEST":
            yield f"{name} is provisioned"
    for name, secret in of_type(template, "AWS::SecretsManager::Secret").items():
        if "KmsKeyId" not in secret:
            yield f"{name} is not encrypted with our key"
    kept = ("AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::SecretsManager::Secret", "AWS::Cognito::UserPool")
    for name, resource in template["Resources"].items():
        if resource["Type"] in kept:
            for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
                if resource.get(policy) != "Retain":
                    yield f"{name} has no {policy} that keeps it"


def logs(template):
    groups = of_type(template, "AWS::Logs::LogGroup")
    for name, group in groups.items():
        if "RetentionInDays" not in group:
            yield f"{name} keeps everything"
    for name, function in of_type(template, "AWS::Lambda::Function").items():
        if function.get("LoggingConfig", {}).get("LogGroup", {}).get("Ref") not in groups:
            yield f"{name} logs into a group that the template does not have"
    for name, stage in of_type(template, "AWS::ApiGatewayV2::Stage").items():
        log = stage.get("AccessLogSettings", {})
        if not log:
            yield f"{name} has no access log"
        for secret in ("sourceIp", "$context.path", "authorizer.claims", "identity"):
            if secret in log.get("Format", ""):
                yield f"{name} logs {secret}"


# Property by which a resource is given a name of its own.
NAMES = {
    "AWS::ApiGatewayV2::Api": "Name",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::CodeDeploy::Application": "ApplicationName",
    "AWS::Cognito::UserPool": "UserPoolName",
    "AWS::Cognito::UserPoolDomain": "Domain",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::EventBus": "Name",
    "AWS::IAM::Role": "RoleName",
    "AWS::KMS::Alias": "AliasName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::SecretsManager::Secret": "Name",
}


def names(template):
    """Two stacks can live in one account."""
    for logical_id, resource in template["Resources"].items():
        name = resource.get("Properties", {}).get(NAMES.get(resource["Type"]))
        if name is not None and not {"AWS::StackName", "AWS::StackId"} & set(names_in(name)):
            yield f"{logical_id} has the fixed name {name}"


def identity(template):
    """Nobody signs up, and nobody moves to another organization."""
    for name, pool in of_type(template, "AWS::Cognito::UserPool").items():
        if not pool.get("AdminCreateUserConfig", {}).get("AllowAdminCreateUserOnly"):
            yield f"anybody may sign up with {name}"
        attributes = {attribute["Name"] for attribute in pool.get("Schema", [])}
        if not {"org_id", "org_name"} <= attributes:
            yield f"{name} has no organization"
        trigger = pool.get("LambdaConfig", {}).get("PreTokenGenerationConfig", {})
        if trigger.get("LambdaVersion") not in ("V2_0", "V3_0"):
            yield f"{name} puts no organization into access tokens"
    for name, client in of_type(template, "AWS::Cognito::UserPoolClient").items():
        # Without the list, a client may write every attribute that is not custom, the e-mail among them.
        writable = client.get("WriteAttributes")
        if writable is None:
            yield f"{name} does not say what it may write"
        elif {"email", "custom:org_id", "custom:org_name"} & set(writable):
            yield f"{name} may write {writable}"
        if "aws.cognito.signin.user.admin" in client.get("AllowedOAuthScopes", []):
            yield f"{name} may change the user"
        scopes = json.dumps(client.get("AllowedOAuthScopes", []))
        if "organizations:act" in scopes and (client.get("AllowedOAuthFlows") != ["client_credentials"]):
            yield f"a person may act for any organization through {name}"
        if not client.get("GenerateSecret") and client.get("AllowedOAuthFlows") != ["code"]:
            yield f"{name} has no secret and no code flow"


def metrics_of_the_code(root=environment.ROOT):
    """Names of the metrics that functions count."""
    text = "\n".join(
        file.read_text() for folder in ("shared/src", "functions") for file in (root / folder).rglob("*.rs")
    )
    return set(re.findall(r"count(?:_by)?\(\s*(?:telemetry::)?Metric::(\w+)", text))


def alarms(template):
    found = of_type(template, "AWS::CloudWatch::Alarm")
    runbook = (environment.ROOT / "docs/runbook.md").read_text()
    sections = {heading.lower() for heading in re.findall(r"^## (.+)$", runbook, re.M)}
    watched, pointed_at = {}, set()
    for name, alarm in found.items():
        dimensions = {d["Name"]: next(names_in(d["Value"]), d["Value"]) for d in alarm.get("Dimensions", [])}
        for value in dimensions.values():
            watched.setdefault(value, {})[alarm["MetricName"]] = alarm
        if "AlarmActions" not in alarm:
            yield f"{name} tells nobody"
        _, _, section = alarm.get("AlarmDescription", "").partition("see the runbook, ")
        pointed_at.add(section.lower())
        if section.lower() not in sections:
            yield f"{name} has no section {section!r} in the runbook"
        if alarm["Namespace"] == {"Ref": "AWS::StackName"}:
            watched.setdefault("metrics", {})[alarm["MetricName"]] = alarm
            if alarm["MetricName"] not in metrics_of_the_code():
                yield f"{name} watches {alarm['MetricName']}, which nothing counts"
        elif not alarm["Namespace"].startswith("AWS/"):
            yield f"{name} watches the namespace {alarm['Namespace']}"
    yield from (f"no alarm points at the runbook's section {section!r}" for section in sorted(sections - pointed_at))
    for name, function in of_type(template, "AWS::Lambda::Function").items():
        own = watched.get(name, {})
        for metric in ("Errors", "Throttles", "Duration"):
            if metric not in own:
                yield f"no alarm watches the {metric} of {name}"
        timeout = function["Timeout"] * 1000
        if "Duration" in own and not 0.5 * timeout < own["Duration"]["Threshold"] < timeout:
            yield f"the alarm of {name}'s duration has nothing to do with its timeout"
    wanted = {"WebhookForged", "WebhookUnavailable", "MergeApiKeyRefused", "MergeError", "DeletionsHeld"}
    wanted |= {"MergeContractDrift", "ModelDegraded", "AccountsPolled", "DataLate", "ParkedExpired"}
    for metric in sorted(wanted - set(watched.get("metrics", {}))):
        yield f"no alarm watches {metric}"
    heartbeat = watched.get("metrics", {}).get("AccountsPolled", {})
    if heartbeat.get("TreatMissingData") != "breaching":
        yield "a poller that is silent raises no alarm"


def deployments(template):
    """Every function but the sign-in trigger is deployed step by step, watched by its alarms: of its errors and, since
    an answer 5xx is none to Lambda, of those."""
    groups = of_type(template, "AWS::CodeDeploy::DeploymentGroup")
    answers = {"WebhookFunction": {"WebhookUnavailableAlarm"}, "SyncWorkerFunction": set(), "PollerFunction": set()}
    for name in of_type(template, "AWS::Lambda::Function"):
        group = groups.get(f"{name}DeploymentGroup")
        if name == "TokenClaimsFunction":
            continue
        if group is None:
            yield f"{name} is deployed at once"
            continue
        watched = {alarm["Name"]["Ref"] for alarm in group.get("AlarmConfiguration", {}).get("Alarms", [])}
        wanted = answers.get(name, {"InternalErrorsAlarm"}) | {name.removesuffix("Function") + "ErrorsAlarm"}
        yield from (f"{name} is deployed without a look at {alarm}" for alarm in sorted(wanted - watched))


def integrations(template):
    """A call of the function itself would pass its deployment by."""
    for name, integration in of_type(template, "AWS::ApiGatewayV2::Integration").items():
        if not integration["IntegrationUri"].get("Ref", "").endswith("Aliaslive"):
            yield f"{name} does not call an alias"
        if integration["PayloadFormatVersion"] != "2.0":
            yield f"{name} sends another payload"


def tags(samconfig):
    """Stack tags, which CloudFormation hands on to every resource that takes them."""
    settings = tomllib.loads(samconfig)
    for name, section in settings.items():
        if isinstance(section, dict) and "application=tether" not in section["deploy"]["parameters"]["tags"]:
            yield f"{name} deploys without tags"


RULES = [
    runtime,
    roles,
    routes,
    function_url,
    webhook_concurrency,
    queues,
    dead_letters_and_alarms,
    asynchronous_calls_end_somewhere,
    data,
    logs,
    names,
    identity,
    alarms,
    deployments,
    integrations,
]
