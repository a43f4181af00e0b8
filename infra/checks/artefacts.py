#!/usr/bin/env python3
"""Builds the functions from a clean clone as a deployer would, with `sam build`, and judges every bootstrap.

    infra/checks/artefacts.py target/sam-build          needs the tools of infra/requirements-build.lock on the PATH

Each function of the template has a bootstrap for arm64 that starts on Amazon Linux 2023, which has GLIBC 2.34, and that
does not depend on where it was built. Prints a table of sizes, in Markdown. Exit code 1: something is wrong, named.
"""

import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[2]
GLIBC = (2, 34)
# What was built last, by the same table: a cold start fetches and unpacks the zip, so that one that grows is a fault.
TABLE = "tests/results/sam-build.md"
GROWTH = 1.1


def functions(template):
    """Cargo binary by logical id."""
    found = {}
    for name, resource in yaml_parse(template.read_text())["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            found[name] = resource["Metadata"]["BuildProperties"]["Binary"]
    return found


def readelf(option, file):
    command = ["readelf", "--wide", option, file]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout


def newest_glibc(bootstrap):
    """The newest version of GLIBC whose symbols it needs."""
    versions = re.findall(r"GLIBC_(\d+)\.(\d+)", readelf("--version-info", bootstrap))
    return max((int(major), int(minor)) for major, minor in versions)


def zipped(bootstrap):
    """Its size in the zip that SAM uploads."""
    return len(zlib.compress(bootstrap.read_bytes()))


def before(clone):
    """Bytes of each function's zip when its table was last committed."""
    table = clone / TABLE
    rows = re.findall(r"^\| ([a-z-]+) \| [\d,]+ \| ([\d,]+) \|", table.read_text() if table.exists() else "", re.MULTILINE)
    return {binary: int(zipped.replace(",", "")) for binary, zipped in rows}


def faults(bootstrap, built_in, was=None):
    """What is wrong with one, as sentences."""
    if not bootstrap.exists():
        yield "it was not built"
        return
    header = readelf("--file-header", bootstrap)
    if "AArch64" not in header:
        yield "it is not for arm64"
        return
    if newest_glibc(bootstrap) > GLIBC:
        needed, present = ("{}.{}".format(*version) for version in (newest_glibc(bootstrap), GLIBC))
        yield f"it needs GLIBC {needed}, and Amazon Linux 2023 has {present}"
    if str(built_in).encode() in bootstrap.read_bytes():
        yield f"it names the directory that it was built in, {built_in}"
    if was and zipped(bootstrap) > was * GROWTH:
        yield f"zipped it has {zipped(bootstrap):,} bytes, and had {was:,}: commit the new table if that has to be"


def build(clone):
    """A clone of the last commit, built. Cargo's own work of an earlier build is kept."""
    if clone.exists():
        subprocess.run(["git", "-C", clone, "fetch", "--quiet", "origin", "HEAD"], check=True)
        subprocess.run(["git", "-C", clone, "checkout", "--quiet", "--force", "--detach", "FETCH_HEAD"], check=True)
    else:
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    # What it says goes where progress goes: standard output is the table.
    quiet = {**os.environ, "SAM_CLI_TELEMETRY": "0"}
    subprocess.run(["sam", "build"], cwd=clone, check=True, env=quiet, stdout=sys.stderr)


def main():
    clone = Path(sys.argv[1]).resolve()
    build(clone)
    commit = subprocess.run(["git", "-C", clone, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    print(f"`sam build` at {commit.stdout.strip()}, arm64:\n")
    print("| function | bytes | zipped | newest GLIBC |\n|---|---:|---:|---|")
    wrong, had = [], before(clone)
    for logical_id, binary in functions(clone / "infra/template.yaml").items():
        bootstrap = clone / ".aws-sam/build" / logical_id / "bootstrap"
        found = list(faults(bootstrap, clone, had.get(binary)))
        wrong += [f"{binary}: {fault}" for fault in found]
        if bootstrap.exists():
            major, minor = newest_glibc(bootstrap)
            print(f"| {binary} | {bootstrap.stat().st_size:,} | {zipped(bootstrap):,} | {major}.{minor} |")
    for fault in wrong:
        print(fault, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
