"""The environment's two ends: what a function's code reads and what the template sets for it.

Both are read from the source: `shared/src/config/` says which variables a section reads, a function's `main.rs` which
sections it loads. A variable that is read and not set silently means its default; one that is set and not read means
nothing at all, though somebody believes it does.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Set by Lambda itself, or for every AWS SDK.
PLATFORM = {"AWS_REGION", "AWS_ENDPOINT_URL"}

# Read by a section that is shared, of no use to every function that loads it.
OPTIONAL = {
    # Only functions that read or write records are given that table's name.
    "RECORDS_TABLE",
    # The webhook function encrypts only.
    "PREVIOUS_TOKEN_KEY",
}

_SECTION = re.compile(r"impl Section for (\w+) \{(.*?)\n\}", re.S)
_READ = re.compile(r'"([A-Z][A-Z0-9_]+)"')
_FUNCTION_READ = re.compile(r'fn (\w+)\(reader: &mut Reader<\'_>[^{]*\{(.*?)\n\}', re.S)


def sections(root=ROOT):
    """Variables by section name."""
    found = {}
    for file in sorted((root / "shared/src/config").glob("*.rs")):
        if file.name == "tests.rs":
            continue
        text = file.read_text()
        # Some sections read through a helper of their file: its variables are theirs.
        helpers = {name: set(_READ.findall(body)) for name, body in _FUNCTION_READ.findall(text) if name != "read"}
        for name, body in _SECTION.findall(text):
            variables = set(_READ.findall(body))
            for helper, of_helper in helpers.items():
                if re.search(rf"\b{helper}\(reader\b", body):
                    variables |= of_helper
            found[name] = variables
    return found


def read_by(binary, root=ROOT):
    """The variables that a function's configuration reads."""
    main = (root / "functions" / binary / "main.rs").read_text()
    # `config::Queue` is a section where `Queue` alone is the client of that name.
    known = sections(root)
    imported = re.search(r"config::\{([^}]*)\}|config::\{self, ([^;]*)\};", main)
    names = set(re.findall(r"config::(\w+)\b", main))
    for group in re.findall(r"config::\{([^}]*)\}", main):
        names |= set(re.findall(r"\b(\w+)\b", group))
    assert imported or names, binary
    return set().union(*(known[name] for name in names if name in known)) - PLATFORM


def faults(template, root=ROOT):
    """Every disagreement between the SAM template and the code, as a sentence."""
    found = []
    shared = template.get("Globals", {}).get("Function", {}).get("Environment", {}).get("Variables", {})
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        binary = resource["Metadata"]["BuildProperties"]["Binary"]
        own = resource["Properties"].get("Environment", {}).get("Variables", {})
        present, wanted = set(shared) | set(own), read_by(binary, root)
        found += [f"{name} reads {variable}, which is not set" for variable in sorted(wanted - present - OPTIONAL)]
        found += [f"{name} is given {variable}, which it does not read" for variable in sorted(present - wanted)]
    return found
