"""No rule, no link between template and code, and no linter finds a fault in the template."""

import expand
import environment
import pytest
import rules


@pytest.fixture(scope="module")
def template():
    return expand.expanded()


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_rule(rule, template):
    assert list(rule(template)) == []


def test_checklist_42_permissions_doors_and_leftovers(template):
    """Exact actions per function on exact resources, with no wildcard but X-Ray's; only webhook and page without a token;
    every queue but the relay's with an alarm, and with a dead-letter queue or being one; every log group with a
    retention; no fixed names. That each role has the actions that are called, and no other, is seen where they are
    called: in the local stack, which refuses the rest."""
    held = (rules.roles, rules.routes, rules.function_url, rules.queues, rules.dead_letters_and_alarms, rules.alarms)
    for rule in (*held, rules.logs, rules.names):
        assert list(rule(template)) == [], rule.__name__
    open_routes = {
        route["RouteKey"]
        for route in rules.of_type(template, "AWS::ApiGatewayV2::Route").values()
        if route.get("AuthorizationType", "NONE") == "NONE"
    }
    assert open_routes == rules.PUBLIC_ROUTES
    assert not any(route.split()[1].startswith("/v1/") for route in open_routes)


def test_checklist_14_nothing_bounds_the_webhook(template):
    assert list(rules.webhook_concurrency(template)) == []


def test_cfn_lint_has_nothing_to_say(template, tmp_path):
    assert rules.cfn_lint(template, tmp_path) == []


def test_every_parameter_is_used():
    assert rules.every_parameter_is_used(expand.source()) == []


def test_the_template_sets_exactly_what_each_function_reads():
    assert environment.faults(expand.source()) == []


def test_stacks_are_tagged():
    assert list(rules.tags((environment.ROOT / "samconfig.toml").read_text())) == []
