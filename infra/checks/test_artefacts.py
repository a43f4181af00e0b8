"""The judge of artefacts is judged: what is not built, not for arm64 or too new is found."""

import random
import sys
from pathlib import Path

import artefacts
import pytest

HERE = Path(__file__).parent


def test_every_function_is_looked_for():
    found = artefacts.functions(artefacts.ROOT / "infra/template.yaml")
    assert len(found) == 12 and found["SyncWorkerFunction"] == "sync-worker"


def test_one_that_was_not_built_is_found(tmp_path):
    assert list(artefacts.faults(tmp_path / "bootstrap", HERE)) == ["it was not built"]


def bootstrap(tmp_path, content=b""):
    path = tmp_path / "bootstrap"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("header", "symbols", "content", "fault"),
    [
        ("Advanced Micro Devices X86-64", "GLIBC_2.17", b"", "it is not for arm64"),
        ("AArch64", "GLIBC_2.17 GLIBC_2.35 GLIBC_2.4", b"", "it needs GLIBC 2.35, and Amazon Linux 2023 has 2.34"),
        ("AArch64", "GLIBC_2.34", b"x" + str(HERE).encode(), f"it names the directory that it was built in, {HERE}"),
        ("AArch64", "GLIBC_2.9 GLIBC_2.34", b"", None),
    ],
)
def test_what_does_not_start_there_is_found(header, symbols, content, fault, tmp_path, monkeypatch):
    answers = {"--file-header": header, "--version-info": symbols}
    monkeypatch.setattr(artefacts, "readelf", lambda option, file: answers[option])
    assert list(artefacts.faults(bootstrap(tmp_path, content), HERE)) == ([fault] if fault else [])


def test_one_that_has_grown_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(artefacts, "readelf", lambda option, file: "AArch64 GLIBC_2.34")
    # Nothing of it can be compressed.
    built = bootstrap(tmp_path, random.Random(1).randbytes(110_000))
    assert list(artefacts.faults(built, HERE, 101_000)) == []
    (fault,) = artefacts.faults(built, HERE, 99_000)
    assert fault.startswith("zipped it has 110,") and "had 99,000" in fault


def test_what_was_built_last_is_known_of_every_function():
    had = artefacts.before(artefacts.ROOT)
    assert had.keys() == set(artefacts.functions(artefacts.ROOT / "infra/template.yaml").values())
    assert all(500_000 < size < 6_000_000 for size in had.values())


def test_readelf_tells_what_a_real_executable_needs():
    assert "ELF" in artefacts.readelf("--file-header", sys.executable)
    assert artefacts.newest_glibc(sys.executable) >= (2, 2)
