"""What Glue runs around the job's script: its own command line, its own old boto3, the script in the same process.

Started by local/runtime/glue_process.py with Glue's Python, never imported. It plays what users have
found: Glue's Python reads the whole command line with an argparse that knows Glue's own
options and takes any unambiguous beginning of one for it (awslabs/aws-glue-libs#206); boto3
is imported before the script is.
"""

from __future__ import annotations

import argparse
import runpy
import sys

OPTIONS = (
    *("--JOB_NAME", "--JOB_ID", "--JOB_RUN_ID", "--SECURITY_CONFIGURATION", "--WORKFLOW_NAME", "--WORKFLOW_RUN_ID"),
    *("--job-language", "--job-bookmark-option", "--job-bookmark-from", "--job-bookmark-to", "--class"),
    *("--scriptLocation", "--TempDir", "--python-version", "--extra-py-files", "--extra-files", "--extra-jars"),
    *("--additional-python-modules", "--python-modules-installer-option", "--library-set", "--encryption-type"),
    *("--enable-metrics", "--enable-observability-metrics", "--enable-job-insights", "--enable-glue-datacatalog"),
    *("--enable-continuous-cloudwatch-log", "--enable-continuous-log-filter", "--continuous-log-logGroup"),
    *("--continuous-log-logStreamPrefix", "--enable-spark-ui", "--spark-event-logs-path", "--conf", "--mode"),
)


def check_command_line(words: list[str]) -> None:
    """Exit with status 2 where Glue would take one of the job's arguments for an option of its own."""
    parser = argparse.ArgumentParser(prog="runscript.py", add_help=False)
    for option in OPTIONS:
        parser.add_argument(option, nargs="?")
    _, left = parser.parse_known_args(words)
    names = [word.split("=")[0] for word in words if word.startswith("--")]
    taken = [name for name in names if name not in OPTIONS and name not in {word.split("=")[0] for word in left}]
    if taken:
        parser.error(f"Glue takes {', '.join(taken)} for the beginning of an option of its own")


def main() -> None:
    script, words = sys.argv[1], sys.argv[2:]
    # The folder of this file belongs to the local cloud, not to Glue.
    del sys.path[0]
    check_command_line(words)
    import boto3  # noqa: F401
    import botocore  # noqa: F401

    sys.argv = [script, *words]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
