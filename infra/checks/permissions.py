"""Permissions: what the template lets each function do, against what is known to need it.

A permission is (function, action, resource), in the template's own words: `("poller", "dynamodb:Query",
"AccountsTable/index/due")`. Two lists together must equal the grants: what the end-to-end suite was seen to use
(`target/e2e-permissions.json`, written by its harness), and PLATFORM, what only AWS itself does in a function's name,
which no local stack can show.
"""

import json
from pathlib import Path

SEEN = Path(__file__).parents[2] / "target/e2e-permissions.json"

LOGS = ("logs:CreateLogStream", "logs:PutLogEvents")
TRACING = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
# DynamoDB and Secrets Manager use the key of the data in the caller's name.
VIA_DYNAMODB = ("kms:Decrypt", "kms:GenerateDataKey")
VIA_SECRETS = ("kms:Decrypt",)
# The event source polls with the function's role; that a function deletes no message itself, `queue` in shared/ shows.
POLLING = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")

# Which services read with DataKey in a function's name.
READS = {
    "token-claims": (),
    "link-token": ("dynamodb", "secretsmanager"),
    "exchange": ("dynamodb", "secretsmanager"),
    "relink": ("dynamodb", "secretsmanager"),
    "delete": ("dynamodb",),
    "accounts": ("dynamodb", "secretsmanager"),
    "integrations": ("secretsmanager",),
    "records": ("dynamodb",),
    "page": (),
    "webhook": ("secretsmanager",),
    "sync-worker": ("dynamodb", "secretsmanager"),
    "poller": ("dynamodb",),
}


def platform():
    """What only AWS itself does in the functions' names."""
    for function, services in READS.items():
        logical = "".join(part.title() for part in function.split("-"))
        yield from ((function, action, f"{logical}LogGroup") for action in LOGS)
        yield from ((function, action, "*") for action in TRACING)
        if "dynamodb" in services:
            yield from ((function, action, "DataKey via dynamodb") for action in VIA_DYNAMODB)
        if "secretsmanager" in services:
            yield from ((function, action, "DataKey via secretsmanager") for action in VIA_SECRETS)
    yield from (("sync-worker", action, "SyncQueue") for action in POLLING)
    # Lambda hands on what an asynchronous call failed at.
    yield "poller", "sqs:SendMessage", "AsyncDeadLetterQueue"


PLATFORM = set(platform())


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
        case {"Fn::Sub": str(text)}:
            return text.replace("${", "").replace(".Arn}", "")
    raise ValueError(f"a resource in a form that is not read here: {value}")


def via(condition):
    """Who calls in the function's name, by the condition on `kms:ViaService`; without one, the function itself."""
    if not condition:
        return ""
    return f" via {condition['StringEquals']['kms:ViaService']['Fn::Sub'].split('.')[0]}"


def grants(template):
    """Every permission of the SAM template, with the number of statements that grant it."""
    found = {}
    for function in template["Resources"].values():
        if function["Type"] != "AWS::Serverless::Function":
            continue
        binary = function["Metadata"]["BuildProperties"]["Binary"]
        role = template["Resources"][resource_name(function["Properties"]["Role"])]
        for policy in role["Properties"]["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                resources = statement["Resource"]
                for resource in resources if isinstance(resources, list) else [resources]:
                    for action in statement["Action"]:
                        permission = (binary, action, resource_name(resource) + via(statement.get("Condition")))
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
    needed = set(used) | PLATFORM
    found += [f"{f} may {a} on {r}, which nothing needs" for f, a, r in sorted(set(granted) - needed)]
    for f, a, r in sorted(needed - set(granted)):
        who = ", ".join(used.get((f, a, r), ["AWS itself"]))
        found.append(f"{f} may not {a} on {r}, which {who} needs")
    return found
