"""Permissions: what the template lets each function do, against what is known to need it.

A permission is (function, action, resource), in the template's own words: `("poller", "dynamodb:Query",
"AccountsTable/index/due")`. Two lists together must equal the grants: what the end-to-end suite was seen to use
(`target/e2e-permissions.json`, written by its harness), and `platform`, what only AWS itself does in a function's name,
which no local stack can show.
"""

import json
from pathlib import Path

SEEN = Path(__file__).parents[2] / "target/e2e-permissions.json"

LOGS = ("logs:CreateLogStream", "logs:PutLogEvents")
TRACING = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
# DynamoDB and Secrets Manager use the key of the data in the name of whoever calls them.
VIA = {
    "dynamodb": ("kms:Decrypt", "kms:GenerateDataKey"),
    "secretsmanager": ("kms:Decrypt",),
}
# The event source polls with the function's role; that a function deletes no message itself, `queue` in shared/ shows.
POLLING = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")


def functions(template):
    """Logical id and properties by binary."""
    found = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            found[resource["Metadata"]["BuildProperties"]["Binary"]] = (name, resource["Properties"])
    return found


def platform(template, calls):
    """What only AWS itself does in the functions' names, given the permissions that the functions' own calls need."""
    needed = set()
    for binary, (_, properties) in functions(template).items():
        needed |= {(binary, action, resource_name(properties["LoggingConfig"]["LogGroup"])) for action in LOGS}
        needed |= {(binary, action, "*") for action in TRACING}
        for event in properties.get("Events", {}).values():
            if event["Type"] == "SQS":
                queue = resource_name(event["Properties"]["Queue"])
                needed |= {(binary, action, queue) for action in POLLING}
        # Lambda hands on what an asynchronous call failed at.
        failed = properties.get("EventInvokeConfig", {}).get("DestinationConfig", {}).get("OnFailure")
        if failed:
            needed.add((binary, "sqs:SendMessage", resource_name(failed["Destination"])))
    for binary, action, resource in calls:
        service = action.split(":")[0]
        if " via " not in resource:
            needed |= {(binary, via, f"DataKey via {service}") for via in VIA.get(service, ())}
    return needed


def resource_name(value):
    """A resource as this module calls it."""
    match value:
        case str():
            return value
        case {"Ref": name}:
            return name
        case {"Fn::GetAtt": [name, "Arn"]}:
            return name
        case {"Fn::GetAtt": str(text)}:
            return text.removesuffix(".Arn")
        case {"Fn::If": [_, ours, _]}:
            # A resource of the stack's, or another in its place.
            return resource_name(ours)
        case {"Fn::Sub": str(text)}:
            return text.replace("${", "").replace(".Arn}", "")
    raise ValueError(f"a resource in a form that is not read here: {value}")


def via(condition):
    """Who calls in the function's name, by the condition on `kms:ViaService`; without one, the function itself."""
    if not condition:
        return ""
    return f" via {condition['StringEquals']['kms:ViaService']['Fn::Sub'].split('.')[0]}"


def resource_of(statement):
    """The one resource of a statement, with who uses it in the function's name."""
    return resource_name(statement["Resource"]) + via(statement.get("Condition"))


def statements(role):
    """The statements of a role, those that depend on a condition of the stack's as if it held."""
    for policy in role["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            yield statement.get("Fn::If", [None, statement])[1]


def role_of(template, binary):
    _, properties = functions(template)[binary]
    return template["Resources"][resource_name(properties["Role"])]


def grants(template):
    """Every permission of the SAM template, with the number of statements that grant it."""
    found = {}
    for binary in functions(template):
        for statement in statements(role_of(template, binary)):
            for action in statement["Action"]:
                permission = (binary, action, resource_of(statement))
                found[permission] = found.get(permission, 0) + 1
    return found


def seen(path=SEEN):
    """Tests by permission, as the suite's harness wrote it."""
    if not path.exists():
        raise FileNotFoundError(f"{path} is written by the end-to-end suite: cargo test --workspace --test e2e")
    return {(row["function"], row["action"], row["resource"]): row["tests"] for row in json.loads(path.read_text())}


def faults(template, used):
    """Every disagreement between the grants and what needs them, as a sentence."""
    granted = grants(template)
    found = [f"{f} is granted {a} on {r} twice" for (f, a, r), times in sorted(granted.items()) if times > 1]
    needed = {permission: ["AWS itself"] for permission in platform(template, used)} | dict(used)
    found += [f"{f} may {a} on {r}, which nothing needs" for f, a, r in sorted(set(granted) - set(needed))]
    for f, a, r in sorted(set(needed) - set(granted)):
        found.append(f"{f} may not {a} on {r}, which is needed by: {', '.join(needed[f, a, r])}")
    return found
