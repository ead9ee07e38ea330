"""Spark for the jobs on Glue for Spark: its place on this machine, and the environment in which a script finds it.

Spark is optional. `make demo-large` and `make test-large` install it; Java must be there.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from local.runtime.glue_python import find_python

SPARK_PYTHON = "3.13"
"""The Python of Glue 6.0."""
TASKS_AT_A_TIME = 2

# Spark's own messages go to another log on AWS. Here they would stand between the job's lines.
_QUIET = """\
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
logger.gateway.name = org.apache.spark.api.python.PythonGatewayServer
logger.gateway.level = error
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %p %c: %m%n
"""


class SparkMissing(ValueError):
    """This machine has no Spark, or no Java for it; the message says how to get it."""


@dataclass(frozen=True)
class LocalSpark:
    """Spark on the cores of this machine. Like a cluster it tries each task four times."""

    home: Path
    python: Path
    """The interpreter of driver and workers."""

    @property
    def import_path(self) -> list[Path]:
        return sorted((self.home / "python" / "lib").glob("*.zip"))

    def environment(self, place: Path) -> dict[str, str]:
        """The variables of a driver that keeps its files in `place`."""
        configuration = place / "spark"
        configuration.mkdir()
        (configuration / "log4j2.properties").write_text(_QUIET, encoding="utf-8")
        java = {"JAVA_HOME": os.environ["JAVA_HOME"]} if "JAVA_HOME" in os.environ else {}
        return {
            "SPARK_HOME": str(self.home),
            "SPARK_CONF_DIR": str(configuration),
            "SPARK_LOCAL_DIRS": str(place),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": str(self.python),
            "PYSPARK_SUBMIT_ARGS": f"--master local[{TASKS_AT_A_TIME},4] pyspark-shell",
            **java,
        }


@cache
def find_spark() -> LocalSpark:
    """The Spark that is installed beside this program; raises SparkMissing."""
    if not which("java") and not os.environ.get("JAVA_HOME"):
        raise SparkMissing(
            "the job for large files needs Java 17 or newer, and there is no java on the PATH; "
            "install one, or set largeFileBytes to 0"
        )
    package = find_spec("pyspark")
    if package is None or package.origin is None:
        raise SparkMissing(
            "the job for large files needs PySpark, which is not installed here; "
            "`make demo-large` installs it (requirements/spark.txt), or set largeFileBytes to 0"
        )
    return LocalSpark(Path(package.origin).parent, find_python(SPARK_PYTHON) or Path(sys.executable))
