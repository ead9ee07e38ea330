"""Builds the job's wheel from our code and its dependencies; equal sources and pins give equal bytes."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from jobs import __version__

ROOT = Path(__file__).parents[2]
PLATFORM = "x86_64-manylinux2014"
PYTHONS = ("3.9", "3.13")
"""The Python of Glue Python Shell, and that of its successor (docs/when-python-shell-ends.md)."""
OURS = ("jobs", "schemas")

# Botocore describes 400 services. Only those that a job uses stay in the wheel, because Glue
# downloads and unpacks the wheel before each run.
_SERVICES = ("s3", "sts", "redshift", "redshift-serverless")

# Packages among the pins that no job imports. Before each run, pip in Glue writes and compiles every file of the
# wheel on a quarter of a core.
_NOT_IMPORTED = ("_distutils_hack", "pkg_resources", "pytz", "setuptools")

_TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def build_wheel(out: Path, work: Path, python: str = PYTHONS[0]) -> Path:
    """Build the wheel for one of PYTHONS; returns its path."""
    shutil.rmtree(work, ignore_errors=True)
    _install_dependencies(work, python)
    for package in OURS:
        shutil.copytree(ROOT / package, work / package, ignore=shutil.ignore_patterns("__pycache__"))
    _prune(work)
    out.mkdir(parents=True, exist_ok=True)
    tag = _tag(python)
    for old in out.glob(f"transactions_pipeline-*-{tag}.whl"):
        old.unlink()
    path = out / f"transactions_pipeline-{__version__}-{tag}.whl"
    _write(path, work, tag)
    return path


def _tag(python: str) -> str:
    """`3.13` -> `cp313-cp313-manylinux2014_x86_64`."""
    interpreter = f"cp{python.replace('.', '')}"
    return f"{interpreter}-{interpreter}-manylinux2014_x86_64"


def _install_dependencies(work: Path, python: str) -> None:
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(work)]
    command += ["--python-version", python, "--python-platform", PLATFORM, "--only-binary", ":all:"]
    command += ["--no-deps", "--require-hashes", "--requirement", str(ROOT / "requirements" / "job.txt")]
    subprocess.run(command, check=True)


def _prune(work: Path) -> None:
    for service in (work / "botocore" / "data").iterdir():
        if service.is_dir() and service.name not in _SERVICES:
            shutil.rmtree(service)
    for info in work.glob("*.dist-info"):
        # A wheel may have only its own dist-info. Some packages read their version when they are
        # imported, so each keeps its name, version and licences as egg-info, the older form.
        name, version = info.name.removesuffix(".dist-info").split("-")
        kept = work / f"{name}-{version}.egg-info"
        kept.mkdir()
        (kept / "PKG-INFO").write_text(f"Metadata-Version: 1.0\nName: {name}\nVersion: {version}\n")
        for licence in info.rglob("*"):
            if licence.is_file() and "licen" in licence.name.lower():
                shutil.copy(licence, kept / licence.name)
        shutil.rmtree(info)
    for folder in [work / "bin", *(work / name for name in _NOT_IMPORTED), *work.rglob("__pycache__")]:
        shutil.rmtree(folder, ignore_errors=True)
    for file in (".lock", "distutils-precedence.pth"):
        (work / file).unlink(missing_ok=True)


def _write(path: Path, work: Path, tag: str) -> None:
    info = f"transactions_pipeline-{__version__}.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: transactions-pipeline\nVersion: {__version__}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: pipeline wheel\nRoot-Is-Purelib: false\nTag: {tag}\n",
    }
    record = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for file in sorted(file for file in work.rglob("*") if file.is_file()):
            record.append(_add(archive, file.relative_to(work).as_posix(), file.read_bytes()))
        for name, text in metadata.items():
            record.append(_add(archive, name, text.encode()))
        _add(archive, f"{info}/RECORD", "".join([*record, f"{info}/RECORD,,\n"]).encode())


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> str:
    """Store one file; returns its line of RECORD."""
    entry = zipfile.ZipInfo(name, _TIMESTAMP)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (0o755 if name.endswith(".so") else 0o644) << 16
    archive.writestr(entry, content)
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"
