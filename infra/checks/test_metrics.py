"""Our own metrics: what alarms and the dashboard look at is what the functions count, under the dimensions they count it.

The one dimension there is, `Kind`, is a word of few values. A dimension that the code does not set would be a metric that
never has a value: an alarm that is silent for ever.
"""

import copy
import json
import re

import environment
import expand
import pytest
import rules

OWN = "${AWS::StackName}"
SOURCE = "\n".join(
    file.read_text() for folder in ("shared/src", "functions") for file in (environment.ROOT / folder).rglob("*.rs")
)


def looked_at(template):
    """(who looks, metric, dimensions) of each look at a metric of ours."""
    for name, alarm in rules.of_type(template, "AWS::CloudWatch::Alarm").items():
        if alarm["Namespace"] == {"Ref": "AWS::StackName"}:
            yield name, alarm["MetricName"], {d["Name"]: d["Value"] for d in alarm.get("Dimensions", [])}
    for name, dashboard in rules.of_type(template, "AWS::CloudWatch::Dashboard").items():
        for widget in json.loads(dashboard["DashboardBody"]["Fn::Sub"])["widgets"]:
            for namespace, metric, *rest in widget["properties"].get("metrics", []):
                words = [word for word in rest if isinstance(word, str)]
                if namespace == OWN:
                    yield name, metric, dict(zip(words[::2], words[1::2], strict=True))


def faults(template):
    counted = rules.metrics_of_the_code()
    by_kind = set(re.findall(r"count_by\(\s*(?:telemetry::)?Metric::(\w+)", SOURCE))
    for who, metric, dimensions in looked_at(template):
        if metric not in counted:
            yield f"{who} looks at {metric}, which nothing counts"
        elif not dimensions:
            continue
        elif set(dimensions) != {"Kind"} or metric not in by_kind:
            yield f"{who} looks at {metric} by {sorted(dimensions)}, by which nothing counts it"
        elif f'"{dimensions["Kind"]}"' not in SOURCE:
            yield f"{who} looks at {metric} of the kind {dimensions['Kind']}, which does not exist"


@pytest.fixture(scope="module")
def template():
    return expand.expanded()


def test_alarms_and_dashboard_look_at_what_is_counted(template):
    seen = list(looked_at(template))
    assert {who for who, _, _ in seen} > {"Dashboard", "MergeForbiddenAlarm"} and len(seen) > 30
    assert list(faults(template)) == []


def test_a_look_at_what_nothing_counts_is_found(template):
    copied = copy.deepcopy(template)
    alarm = copied["Resources"]["MergeForbiddenAlarm"]["Properties"]
    alarm["Dimensions"] = [{"Name": "FunctionName", "Value": {"Ref": "SyncWorkerFunction"}}]
    assert list(faults(copied)) == [
        "MergeForbiddenAlarm looks at MergeError by ['FunctionName'], by which nothing counts it"
    ]
    alarm["Dimensions"] = [{"Name": "Kind", "Value": "no_such_label"}]
    assert "of the kind no_such_label, which does not exist" in "".join(faults(copied))
    body = copied["Resources"]["Dashboard"]["Properties"]["DashboardBody"]
    body["Fn::Sub"] = body["Fn::Sub"].replace("WebhookForged", "WebhookFaked")
    assert "Dashboard looks at WebhookFaked, which nothing counts" in list(faults(copied))
