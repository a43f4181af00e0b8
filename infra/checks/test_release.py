"""A release of the operator's tool, of the binary that the tests have built: whole, unharmed by packing, and honest about
what is in it."""

import json
import subprocess
import sys
import tarfile

import pytest
from environment import ROOT

sys.path.insert(0, str(ROOT / "infra/ops"))

import release  # noqa: E402


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    dist = tmp_path_factory.mktemp("release") / "dist"
    command = [sys.executable, ROOT / "infra/ops/release.py", "--profile", "dev", "--dist", dist]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return dist


@pytest.fixture(scope="module")
def folder(dist):
    (folder,) = (path for path in dist.iterdir() if path.is_dir())
    return folder


def test_it_is_named_by_version_and_target(folder):
    version = subprocess.run([folder / "tether", "--version"], check=True, capture_output=True, text=True)
    assert folder.name == f"tether-{version.stdout.split()[1]}-{release.host()}"


def test_it_brings_what_is_installed_with_it(folder):
    files = {path.name for path in folder.iterdir()}
    assert files == {"tether", "tether.1", "tether.bash", "_tether", "tether.fish", "LICENSE-MIT", "LICENSE-APACHE"}
    assert (folder / "tether.1").read_text().count(".TH") > 10, "the tool's page, then its commands'"
    subprocess.run(["bash", "-n", folder / "tether.bash"], check=True)


def test_the_sums_are_those_of_every_file(dist):
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=dist, check=True)
    summed = {line.split("  ")[1] for line in (dist / "SHA256SUMS").read_text().splitlines()}
    files = {str(path.relative_to(dist)) for path in dist.rglob("*") if path.is_file()}
    assert summed == files - {"SHA256SUMS"}


def test_the_archive_holds_the_folder_and_nothing_of_this_machine(dist, folder, tmp_path):
    path = dist / f"{folder.name}.tar.gz"
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        archive.extractall(tmp_path, filter="data")
    assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {(0, 0, "", "")}
    unpacked = {file.name: file.read_bytes() for file in (tmp_path / folder.name).iterdir()}
    assert unpacked == {file.name: file.read_bytes() for file in folder.iterdir()}
    subprocess.run([tmp_path / folder.name / "tether", "--version"], check=True, stdout=subprocess.DEVNULL)
    assert release.packed(folder, members[0].mtime) == path.read_bytes(), "the same, whenever it is made"


def test_the_bill_of_materials_is_the_tools(dist, folder):
    components = json.loads((dist / f"{folder.name}.cdx.json").read_text())["components"]
    assert {"ops", "shared", "clap"} <= {component["name"] for component in components}
