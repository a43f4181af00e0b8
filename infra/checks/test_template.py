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


def test_cfn_lint_has_nothing_to_say(template, tmp_path):
    assert rules.cfn_lint(template, tmp_path) == []


def test_every_parameter_is_used():
    assert rules.every_parameter_is_used(expand.source()) == []


def test_the_template_sets_exactly_what_each_function_reads():
    assert environment.faults(expand.source()) == []


def test_stacks_are_tagged():
    assert list(rules.tags((environment.ROOT / "samconfig.toml").read_text())) == []
