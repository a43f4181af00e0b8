#!/usr/bin/env python3
"""Makes a release of `tether`, the operator's tool, for this machine's kind:

    pip install -r infra/supply/requirements.lock
    infra/ops/release.py

builds it optimised and stripped, and leaves in `target/dist` a folder with the binary, its manual page, shell completions
and licences, the same as an archive, the bill of materials (CycloneDX), and the SHA-256 sums of all. The archive tells
nothing of when, where and by whom it was made: of one commit and one binary it is the same, byte for byte. From the
binary the compilers are told to leave this machine's paths out.

With `--profile dev` the binary is the one that `cargo ops` runs: the tests look at everything else this way.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "infra/supply"))

# What the shells call their files, where they look for them.
COMPLETIONS = {"bash": "tether.bash", "zsh": "_tether", "fish": "tether.fish"}


def said(*command, **options):
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, **options).stdout


def host():
    lines = said("rustc", "-vV").decode().splitlines()
    return next(line.removeprefix("host: ") for line in lines if line.startswith("host: "))


def build(profile):
    """The path of the binary."""
    command = ["cargo", "build", "--locked", "--bin", "tether", "--profile", profile]
    command += ["--message-format", "json-render-diagnostics"]
    environment = dict(os.environ)
    if profile == "release":
        # By itself, for its dependencies then have the features that it needs and no others; and apart, because flags
        # are part of what is built.
        command += ["--package", "ops", "--target-dir", str(ROOT / "target/release-build")]
        rust = [f"--remap-path-prefix={path}={name}" for path, name in places()]
        command += ["--config", f"build.rustflags = {json.dumps(rust)}"]
        for variable in ("CFLAGS", "CXXFLAGS"):
            c = [f"-ffile-prefix-map={path}={name}" for path, name in places()]
            environment[variable] = " ".join([environment.get(variable, ""), *c]).strip()
    messages = [json.loads(line) for line in said(*command, env=environment).splitlines()]
    made = (message for message in messages if message["reason"] == "compiler-artifact")
    (binary,) = {message["executable"] for message in made if message["target"]["name"] == "tether"}
    return Path(binary)


def places():
    """Folders of this machine, and what stands for them in a binary that leaves it."""
    cargo_home = os.environ.get("CARGO_HOME", str(Path.home() / ".cargo"))
    return [(cargo_home, "/cargo"), (str(ROOT), "/tether")]


def gather(binary, folder):
    """Puts into the folder what is installed with the binary."""
    shutil.copy(binary, folder / "tether")
    for licence in ("LICENSE-APACHE", "LICENSE-MIT"):
        shutil.copy(ROOT / licence, folder)
    (folder / "tether.1").write_bytes(said(binary, "man"))
    for shell, name in COMPLETIONS.items():
        (folder / name).write_bytes(said(binary, "completion", shell))


def packed(folder, committed_at):
    """The folder as a compressed archive; nothing of it depends on when, where and by whom it is made."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as compressed:
        with tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in [folder, *sorted(folder.iterdir())]:
                member = tarfile.TarInfo(str(path.relative_to(folder.parent)))
                member.mtime = committed_at
                if path.is_dir():
                    member.type, member.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(member)
                    continue
                content = path.read_bytes()
                member.size, member.mode = len(content), 0o755 if path.name == "tether" else 0o644
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="release", choices=["release", "dev"], help="of the build")
    parser.add_argument("--dist", type=Path, default=ROOT / "target/dist", help="where to; it is emptied first")
    arguments = parser.parse_args()
    try:
        import sbom
    except ImportError as error:
        sys.exit(f"{error}: pip install -r infra/supply/requirements.lock")

    # 1. Build, and ask the binary for what it can tell of itself.
    binary, target = build(arguments.profile), host()
    version = said(binary, "--version").decode().split()[1]
    shutil.rmtree(arguments.dist, ignore_errors=True)
    folder = arguments.dist / f"tether-{version}-{target}"
    folder.mkdir(parents=True)
    gather(binary, folder)

    # 2. Pack it, and say what is in it.
    (arguments.dist / f"{folder.name}.tar.gz").write_bytes(packed(folder, int(said("git", "log", "-1", "--format=%ct"))))
    (arguments.dist / f"{folder.name}.cdx.json").write_text(sbom.text_of(sbom.bom("ops", target)) + "\n")

    # 3. Add up.
    files = sorted(path for path in arguments.dist.rglob("*") if path.is_file())
    sums = [(hashlib.sha256(path.read_bytes()).hexdigest(), path.relative_to(arguments.dist)) for path in files]
    (arguments.dist / "SHA256SUMS").write_text("".join(f"{digest}  {path}\n" for digest, path in sums))
    for path in files:
        print(f"{path.stat().st_size:>11}  {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
