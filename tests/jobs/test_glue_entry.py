"""The script that Glue runs: where it imports from, and what it sets before any import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import jobs.errors
import jobs.glue_entry
import jobs.main

ENTRY = Path(jobs.glue_entry.__file__)

# Folders where users report an installed wheel, and a downloaded one.
LAYOUTS = ("glue/lib/installation", "tmp/glue-python-libs-7f3a")

OLD, OURS = "1.21.21", "1.42.97"
HEAP = "narenas:1,dirty_decay_ms:1000,muzzy_decay_ms:0"
"""The settings of jemalloc: one heap, and free memory given back after a second."""

# A job that prints where it was imported from, and its environment.
FAKE_JOB = """
import os, boto3, botocore.session, polars
def process_transactions(arguments):
    print("botocore", botocore.session.VERSION)
    print("polars", polars.SEEN)
    print("region", os.environ.get("AWS_DEFAULT_REGION"))
"""
FAKE_ARGUMENTS = """
from types import SimpleNamespace
def parse_arguments(argv):
    return SimpleNamespace(job="process_transactions", warehouse=SimpleNamespace(region="eu-west-1"))
"""
# Glue's own process imports its own boto3 before it runs the script.
RUNNER = """
import importlib.util, sys
import boto3, botocore.session, awscli
spec = importlib.util.spec_from_file_location("entry", {entry!r})
entry = importlib.util.module_from_spec(spec)
spec.loader.exec_module(entry)
entry.INSTALLATION = {installation!r}
entry.run_from_wheel(sys.argv[1:])
print("awscli", sys.modules["awscli"] is awscli)
"""


def _write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def _boto3(version: str) -> dict[str, str]:
    return {
        "boto3/__init__.py": f"__version__ = '{version}'\n",
        "botocore/__init__.py": "",
        "botocore/session.py": f"VERSION = '{version}'\n",
    }


def _wheel(folder: Path) -> Path:
    threads = "SEEN = os.environ['POLARS_MAX_THREADS'], os.environ['_RJEM_MALLOC_CONF']\n"
    return _write(
        folder,
        {
            **_boto3(OURS),
            "polars/__init__.py": f"import os\n{threads}",
            "jobs/__init__.py": "",
            "jobs/main.py": Path(jobs.main.__file__).read_text(),
            "jobs/errors.py": Path(jobs.errors.__file__).read_text(),
            "jobs/arguments.py": FAKE_ARGUMENTS,
            "jobs/process_transactions.py": FAKE_JOB,
            "schemas/__init__.py": "",
            "schemas/drops.py": "",
            "schemas/runs.py": 'PROCESS_TRANSACTIONS = "process_transactions"\nPROCESS_TRANSACTIONS_LARGE = "large"',
        },
    )


def _decoys(folder: Path) -> list[Path]:
    """Folders on Glue's path before ours: the bundled packages, a plain download, another package named `jobs`."""
    return [
        _write(folder / "usr" / "site-packages", {**_boto3(OLD), "awscli/__init__.py": ""}),
        _write(folder / "tmp" / "glue-python-libs-0a", {"transactions_pipeline-1.0.0-py3-none-any.whl": "a zip"}),
        _write(folder / "other" / "glue-python-libs-1b", {"jobs/__init__.py": "", "schemas/__init__.py": ""}),
    ]


def _run(path: list[Path], *, installation: str = "/nowhere", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", "-c", RUNNER.format(entry=str(ENTRY), installation=installation)],
        cwd=path[0],
        env={"PYTHONPATH": os.pathsep.join(map(str, path)), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_wheel_wins_over_a_boto3_that_is_already_imported(tmp_path: Path, layout: str) -> None:
    ours = _wheel(tmp_path / layout)
    ran = _run([*_decoys(tmp_path), ours])
    assert ran.returncode == 0, ran.stderr
    said = ran.stdout.splitlines()
    assert said[0] == f"boto3 {OURS} from {ours / 'boto3' / '__init__.py'}"
    assert f"botocore {OURS}" in said
    assert "awscli True" in said, "a module that the wheel does not have stays imported"


def test_an_installation_that_is_off_the_path_is_found(tmp_path: Path) -> None:
    ours = _wheel(tmp_path / "installation")
    ran = _run(_decoys(tmp_path), installation=str(ours))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"boto3 {OURS} from {ours}")


def test_a_missing_wheel_is_named_with_the_folders_searched(tmp_path: Path) -> None:
    decoys = _decoys(tmp_path)
    ran = _run(decoys)
    assert ran.returncode == 1
    message = ran.stderr.strip().splitlines()[-1]
    assert message.startswith("ImportError: the job's wheel is in none of the folders ")
    assert "--extra-py-files" in message
    assert all(str(decoy) in message for decoy in decoys)


def test_threads_and_heap_are_set_before_polars_is_imported(tmp_path: Path) -> None:
    path = [*_decoys(tmp_path), _wheel(tmp_path / "installation")]
    assert f"polars ('2', '{HEAP}')" in _run(path).stdout
    assert f"polars ('7', '{HEAP}')" in _run(path, POLARS_MAX_THREADS="7").stdout, "a set variable stays"


def test_the_region_of_the_arguments_is_used_where_glue_sets_none(tmp_path: Path) -> None:
    path = [*_decoys(tmp_path), _wheel(tmp_path / "installation")]
    assert "region eu-west-1" in _run(path).stdout
    assert "region eu-north-1" in _run(path, AWS_DEFAULT_REGION="eu-north-1").stdout


@pytest.mark.parametrize(
    ("raised", "has_traceback"),
    [("FileRefused('line 3 is not UTF-8')", False), ("ZeroDivisionError('line 3 is not UTF-8')", True)],
    ids=["a refused file", "a fault of the program"],
)
def test_the_log_of_a_refusal_ends_with_its_sentence_alone(tmp_path: Path, raised: str, has_traceback: bool) -> None:
    ours = _wheel(tmp_path / "installation")
    job = (
        "from jobs.errors import FileRefused\n"
        "def process_transactions(arguments):\n"
        "    try:\n"
        "        b'\\xff'.decode()\n"
        "    except UnicodeDecodeError as cause:\n"
        f"        raise {raised} from cause\n"
    )
    _write(ours, {"jobs/process_transactions.py": job})
    ran = _run([*_decoys(tmp_path), ours])
    last = ran.stderr.splitlines()[-1]
    assert (ran.returncode, last.endswith(": line 3 is not UTF-8")) == (1, True)
    assert ("Traceback" in ran.stderr, ran.stderr.count("\n") > 1) == (has_traceback, has_traceback)


def test_without_glue_any_container_can_start_the_job(tmp_path: Path) -> None:
    ours = _wheel(tmp_path / "site-packages")
    command = [sys.executable, "-S", "-m", "jobs.main"]
    ran = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ours)}, capture_output=True, text=True, check=False, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        f"botocore {OURS}",
        f"polars ('2', '{HEAP}')",
        "region eu-west-1",
    ]


def test_polars_obeys_both_variables() -> None:
    """Polars itself reports the values, because it defines the variables."""
    names = jobs.main.BEFORE_POLARS
    assert set(names) == {"_RJEM_MALLOC_CONF", "POLARS_MAX_THREADS"}
    environment = {**os.environ, **names, "POLARS_MAX_THREADS": "3"}
    environment["_RJEM_MALLOC_CONF"] += ",confirm_conf:true"
    program = "import polars; print(polars.thread_pool_size())"
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "3"
    for setting in HEAP.split(","):
        assert f"Set conf value: {setting}" in run.stderr


def test_a_package_of_ours_never_hides_one_of_pythons(tmp_path: Path) -> None:
    """Python puts the script's own folder first on the path, and that folder has a `csv`."""
    program = (
        "import runpy, sys\n"
        f"sys.path.insert(0, {str(ENTRY.parent)!r})\n"
        f"entry = runpy.run_path({str(ENTRY)!r}, run_name='entry')\n"
        f"entry['import_first_from']({str(ENTRY.parents[1])!r})\n"
        "import csv\n"
        "csv.writer\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, timeout=300)
