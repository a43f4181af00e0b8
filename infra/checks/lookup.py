"""What stands in a template: resources by type, the names that a value refers to, the texts in it."""

import re


def as_list(value):
    return value if isinstance(value, list) else [value]


def of_type(template, kind):
    return {name: r.get("Properties", {}) for name, r in template["Resources"].items() if r["Type"] == kind}


def names_in(value):
    """Logical ids and pseudo parameters that a value refers to."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0] if isinstance(inner, list) else inner.split(".")[0]
            elif key == "Fn::Sub":
                text = inner[0] if isinstance(inner, list) else inner
                yield from (name.split(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", text))
            yield from names_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names_in(inner)


def texts(value):
    """Every string of a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts(inner)


def statements(role):
    found = [s for policy in role.get("Policies", []) for s in as_list(policy["PolicyDocument"]["Statement"])]
    # One that depends on a condition of the stack's counts as if it held.
    return [statement.get("Fn::If", [None, statement])[1] for statement in found]
