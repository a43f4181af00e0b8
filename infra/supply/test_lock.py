"""The lock files name every tool that is required, in the version that is required, and what each package is published as."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Each lock file with the requirements that `infra/supply/lock` writes it from.
LOCKS = re.findall(r"^lock (.+)$", (ROOT / "infra/supply/lock").read_text().replace("\\\n", ""), re.MULTILINE)


def pinned(text):
    """Version by name; extras are left out. Whatever else stands in a line is no requirement that can be locked."""
    lines = [line for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    found = re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^ ;\\\n]+)", text, re.MULTILINE)
    assert len(found) == len(lines), lines
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_every_requirement_is_locked_somewhere():
    locked = {name for line in LOCKS for name in line.split()}
    written = {str(path.relative_to(ROOT)) for path in ROOT.glob("infra/**/requirements*.txt")}
    written |= {str(path.relative_to(ROOT)) for path in ROOT.glob("tests/[!w]*/**/requirements*.txt")}
    assert len(written) == 7 and written <= locked


@pytest.mark.parametrize("line", LOCKS)
def test_what_is_locked_is_what_is_required(line):
    lock, *requirements = line.split()
    text = (ROOT / lock).read_text()
    locked = pinned(text)
    for file in requirements:
        wanted = pinned((ROOT / file).read_text())
        assert wanted and wanted.items() <= locked.items(), f"{file} has changed: run infra/supply/lock"
    packages = re.split(r"\n(?=\S)", text.strip())
    assert packages and all("--hash=sha256:" in package for package in packages)
    assert "://" not in text, "no registry is named"
