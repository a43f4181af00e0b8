"""The gate is judged too: each of these mistakes, made in a copy of the template, is found by the rule named."""

import copy

import environment
import expand
import pytest
import rules


def resource(name):
    """Applies a change to one resource's properties."""

    def of(change):
        def apply(template):
            change(template["Resources"][name]["Properties"])

        return apply

    return of


def remove(*path):
    def change(properties):
        for key in path[:-1]:
            properties = properties[key]
        del properties[path[-1]]

    return change


def set_to(value, *path):
    def change(properties):
        for key in path[:-1]:
            properties = properties[key]
        properties[path[-1]] = value

    return change


def add_statement(statement):
    def change(role):
        role["Policies"][0]["PolicyDocument"]["Statement"].append({"Effect": "Allow", **statement})

    return change


def unprotected_route(template):
    template["Resources"]["Stray"] = {
        "Type": "AWS::ApiGatewayV2::Route",
        "Properties": {
            "ApiId": {"Ref": "HttpApi"},
            "RouteKey": "GET /v1/everything",
            "Target": {"Fn::Sub": "integrations/${AccountsIntegration}"},
        },
    }


def fixed_name(template):
    template["Resources"]["RecordsTable"]["Properties"]["TableName"] = "records"


def shared_role(template):
    roles = template["Resources"]
    roles["RelinkFunction"]["Properties"]["Role"] = {"Fn::GetAtt": ["LinkTokenRole", "Arn"]}


# What is done wrong, and which rule must say so.
MISTAKES = {
    "visibility below the timeout": (resource("SyncQueue")(set_to(60, "VisibilityTimeout")), rules.queues),
    "a queue without a dead-letter queue": (resource("SyncQueue")(remove("RedrivePolicy")), rules.queues),
    "a standard dead-letter queue of a FIFO queue": (
        resource("SyncDeadLetterQueue")(remove("FifoQueue")),
        rules.queues,
    ),
    "the worker's chains are ended": (resource("SyncWorkerFunction")(remove("RecursiveLoop")), rules.queues),
    "everything as a resource": (
        resource("RecordsRole")(add_statement({"Action": "dynamodb:GetItem", "Resource": "*"})),
        rules.roles,
    ),
    "everything below a resource": (
        resource("RecordsRole")(
            add_statement({"Action": "dynamodb:Query", "Resource": {"Fn::Sub": "${RecordsTable.Arn}/*"}})
        ),
        rules.roles,
    ),
    "everything that begins alike": (
        resource("PageRole")(
            add_statement(
                {"Action": "sqs:SendMessage", "Resource": {"Fn::Join": ["", ["arn:aws:sqs:", {"Ref": "X"}, ":jobs?"]]}}
            )
        ),
        rules.roles,
    ),
    "every action of a service": (
        resource("WebhookRole")(add_statement({"Action": "sqs:*", "Resource": {"Fn::GetAtt": ["SyncQueue", "Arn"]}})),
        rules.roles,
    ),
    "a managed policy": (
        resource("PageRole")(set_to(["arn:aws:iam::aws:policy/AdministratorAccess"], "ManagedPolicyArns")),
        rules.roles,
    ),
    "a role for two functions": (shared_role, rules.roles),
    "a route without an authorizer": (unprotected_route, rules.routes),
    "a route without scopes": (resource("DeleteRoute")(remove("AuthorizationScopes")), rules.routes),
    "a fixed resource name": (fixed_name, rules.names),
    "a function URL with a conditional AuthType": (
        resource("WebhookFunction")(
            set_to({"Fn::If": ["OwnUserPool", "NONE", "AWS_IAM"]}, "FunctionUrlConfig", "AuthType")
        ),
        rules.function_url,
    ),
    "reserved concurrency on the webhook": (
        resource("WebhookFunction")(set_to(10, "ReservedConcurrentExecutions")),
        rules.webhook_concurrency,
    ),
    "a log group without a retention": (resource("PageLogGroup")(remove("RetentionInDays")), rules.logs),
    "an address in the access log": (
        resource("HttpApiStage")(set_to('{"ip":"$context.identity.sourceIp"}', "AccessLogSettings", "Format")),
        rules.logs,
    ),
    "another runtime": (resource("PageFunction")(set_to("provided.al2", "Runtime")), rules.runtime),
    "another processor": (resource("PageFunction")(set_to(["x86_64"], "Architectures")), rules.runtime),
    "a client that may write the organization": (
        resource("PageClient")(set_to(["locale", "custom:org_id"], "WriteAttributes")),
        rules.identity,
    ),
    "a client that may write what it likes": (resource("PageClient")(remove("WriteAttributes")), rules.identity),
    "everybody may sign up": (resource("UserPool")(remove("AdminCreateUserConfig")), rules.identity),
    "a person who acts for any organization": (
        resource("PageClient")(
            lambda client: client["AllowedOAuthScopes"].append({"Fn::Sub": "${ScopePrefix}organizations:act"})
        ),
        rules.identity,
    ),
    "a table that cannot be restored": (
        resource("AccountsTable")(remove("PointInTimeRecoverySpecification")),
        rules.data,
    ),
    "a table that goes with the stack": (
        lambda template: template["Resources"]["RecordsTable"].pop("DeletionPolicy"),
        rules.data,
    ),
    "a schedule whose failures are lost": (
        resource("PollerFunction")(remove("Events", "EveryMinute", "Properties", "DeadLetterConfig")),
        rules.asynchronous_calls_end_somewhere,
    ),
    "an asynchronous call whose failures are lost": (
        resource("PollerFunction")(remove("EventInvokeConfig")),
        rules.asynchronous_calls_end_somewhere,
    ),
    "a dead-letter queue that nobody watches": (
        lambda template: template["Resources"].pop("AsyncDeadLettersAlarm"),
        rules.dead_letters_and_alarms,
    ),
    "a queue whose age nobody watches": (
        lambda template: template["Resources"].pop("QueueAgeAlarm"),
        rules.dead_letters_and_alarms,
    ),
    "a queue that no function reads, without a dead-letter queue": (
        lambda template: template["Resources"].update(Stray=copy.deepcopy(template["Resources"]["RelayQueue"])),
        rules.dead_letters_and_alarms,
    ),
    "an alarm without a section in the runbook": (
        resource("QueueAgeAlarm")(set_to("Something is old", "AlarmDescription")),
        rules.alarms,
    ),
    "an alarm on a metric that nothing counts": (
        resource("ContractDriftAlarm")(set_to("MergeDrift", "MetricName")),
        rules.alarms,
    ),
    "a poller that is silent": (
        resource("PollerHeartbeatAlarm")(set_to("notBreaching", "TreatMissingData")),
        rules.alarms,
    ),
    "a deployment that nobody watches": (resource("RecordsFunction")(remove("DeploymentPreference")), rules.deployments),
    "a deployment that nobody's answers stop": (
        resource("RecordsFunction")(set_to([{"Ref": "RecordsErrorsAlarm"}], "DeploymentPreference", "Alarms")),
        rules.deployments,
    ),
    "an integration past the alias": (
        resource("RecordsIntegration")(set_to({"Fn::GetAtt": ["RecordsFunction", "Arn"]}, "IntegrationUri")),
        rules.integrations,
    ),
}


@pytest.fixture(scope="module")
def template():
    return expand.source()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_gate_finds(mistake, template):
    make, rule = MISTAKES[mistake]
    copied = copy.deepcopy(template)
    make(copied)
    assert list(rule(expand.expanded(copied))) != []


def test_the_gate_finds_a_dangling_reference(template, tmp_path):
    copied = copy.deepcopy(template)
    environment_of = copied["Resources"]["PageFunction"]["Properties"]["Environment"]["Variables"]
    environment_of["BRAND_NAME"] = {"Fn::GetAtt": ["Nothing", "Arn"]}
    assert "Nothing" in "".join(rules.cfn_lint(expand.expanded(copied), tmp_path))


def test_the_gate_finds_the_circle_of_sams_http_api(template, tmp_path):
    """API Gateway by SAM: its definition holds the functions' ARNs, the page's environment the client's id, the
    client the API's address."""
    copied = copy.deepcopy(template)
    resources = copied["Resources"]
    for name in [n for n, r in resources.items() if r["Type"].startswith("AWS::ApiGatewayV2::") and n != "HttpApi"]:
        del resources[name]
    authorizer = {
        "JwtConfiguration": {
            "issuer": {"Fn::GetAtt": ["UserPool", "ProviderURL"]},
            "audience": [{"Ref": "PageClient"}],
        },
        "IdentitySource": "$request.header.Authorization",
    }
    resources["HttpApi"] = {
        "Type": "AWS::Serverless::HttpApi",
        "Properties": {"Auth": {"Authorizers": {"oidc": authorizer}}},
    }
    resources["PageFunction"]["Properties"]["Events"] = {
        "Index": {"Type": "HttpApi", "Properties": {"ApiId": {"Ref": "HttpApi"}, "Path": "/", "Method": "GET"}}
    }
    assert "E3004" in "".join(rules.cfn_lint(expand.expanded(copied), tmp_path))


def test_the_gate_finds_a_variable_that_is_read_and_not_set(template):
    copied = copy.deepcopy(template)
    del copied["Resources"]["WebhookFunction"]["Properties"]["Environment"]["Variables"]["TOKEN_KEY"]
    assert environment.faults(copied) == ["WebhookFunction reads TOKEN_KEY, which is not set"]


def test_the_gate_finds_a_variable_that_is_set_and_not_read(template):
    copied = copy.deepcopy(template)
    copied["Resources"]["PageFunction"]["Properties"]["Environment"]["Variables"]["QUEUE_URL"] = "x"
    assert environment.faults(copied) == ["PageFunction is given QUEUE_URL, which it does not read"]


def test_the_gate_finds_a_parameter_that_is_used_nowhere(template):
    copied = copy.deepcopy(template)
    copied["Parameters"]["Colour"] = {"Type": "String", "Default": "red"}
    assert rules.every_parameter_is_used(copied) == ["Colour is used nowhere"]


def test_the_gate_finds_a_stack_without_tags():
    text = (environment.ROOT / "samconfig.toml").read_text()
    assert list(rules.tags(text.replace("application=tether", "a=b", 1))) != []
