"""The local Glue and its jobs on Spark, where Spark or Java is missing. `make test-large` runs them with both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from local.local_cloud import LocalCloud
from local.runtime import glue_spark
from local.runtime.glue_spark import LocalSpark, SparkMissing, find_spark


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A machine with Java and without PySpark."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(glue_spark, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(glue_spark, "find_spec", lambda _: None)
    find_spark.cache_clear()
    yield monkeypatch
    find_spark.cache_clear()


def without_java(searched: pytest.MonkeyPatch) -> None:
    searched.setattr(glue_spark, "which", lambda _: None)


def test_a_machine_without_java_learns_what_to_install(searched: pytest.MonkeyPatch) -> None:
    without_java(searched)
    with pytest.raises(SparkMissing, match=r"needs Java 17 or newer, .*; install one, or set largeFileBytes to 0"):
        find_spark()


def test_a_machine_without_pyspark_learns_what_to_install(searched: pytest.MonkeyPatch) -> None:
    with pytest.raises(SparkMissing, match=r"needs PySpark, .*`make demo-large` installs it"):
        find_spark()


def test_the_large_demo_without_spark_is_refused_in_a_sentence(searched: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_java(searched)
    refused = CliRunner().invoke(
        app, ["demo", "--large", "--rows", "10", "--days", "1", "--out", str(tmp_path / "out")]
    )
    assert refused.exit_code == 2
    assert "the job for large files needs Java 17" in refused.stderr
    assert not (tmp_path / "out").exists(), "it is refused before anything is generated"


@pytest.mark.flow
def test_a_large_run_without_spark_fails_with_the_sentence(
    undisturbed: LocalCloud, searched: pytest.MonkeyPatch
) -> None:
    without_java(searched)
    glue = undisturbed.client("glue")
    job = glue.get_job(JobName=undisturbed.outputs["transactions_job"])["Job"]
    command = {**job["Command"], "Name": "glueetl"}
    glue.create_job(Name="on-spark", Role=job["Role"], Command=command)
    run_id = glue.start_job_run(JobName="on-spark")["JobRunId"]
    undisturbed.wait_until_idle()
    run = glue.get_job_run(JobName="on-spark", RunId=run_id)["JobRun"]
    glue.delete_job(JobName="on-spark")
    assert (run["JobRunState"], "needs Java 17" in run["ErrorMessage"]) == ("FAILED", True)


def test_a_driver_finds_spark_and_keeps_its_files_in_its_folder(tmp_path: Path) -> None:
    home = tmp_path / "pyspark"
    (home / "python" / "lib").mkdir(parents=True)
    for name in ("pyspark.zip", "py4j-1-src.zip"):
        (home / "python" / "lib" / name).touch()
    spark = LocalSpark(home, Path("/usr/bin/python3.13"))
    environment = spark.environment(tmp_path)
    assert [path.name for path in spark.import_path] == ["py4j-1-src.zip", "pyspark.zip"]
    assert environment["SPARK_HOME"] == str(home)
    assert environment["PYSPARK_PYTHON"] == "/usr/bin/python3.13"
    # Two tasks at a time, each tried four times.
    assert environment["PYSPARK_SUBMIT_ARGS"] == "--master local[2,4] pyspark-shell"
    assert environment["SPARK_LOCAL_DIRS"] == str(tmp_path)
    assert (Path(environment["SPARK_CONF_DIR"]) / "log4j2.properties").is_file()
