"""Glue's wrapper around the job's script: checks the command line, imports the old boto3, runs the script.

Started by local/runtime/glue_process.py with Glue's Python, never imported. It reproduces two
observed facts. Glue parses the whole command line with an argparse of its own options, which
accepts any unambiguous prefix of an option (awslabs/aws-glue-libs#206). And Glue imports its
own boto3 before the script.
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
    """Exit with status 2 when one of the job's arguments is a prefix of one of Glue's options."""
    parser = argparse.ArgumentParser(prog="runscript.py", add_help=False)
    for option in OPTIONS:
        parser.add_argument(option, nargs="?")
    _, left = parser.parse_known_args(words)
    names = [word.split("=")[0] for word in words if word.startswith("--")]
    taken = [name for name in names if name not in OPTIONS and name not in {word.split("=")[0] for word in left}]
    if taken:
        parser.error(f"Glue takes {', '.join(taken)} for a prefix of one of its own options")


def main() -> None:
    script, words = sys.argv[1], sys.argv[2:]
    # The script must not import from the folder of this file.
    del sys.path[0]
    check_command_line(words)
    import boto3  # noqa: F401
    import botocore  # noqa: F401

    sys.argv = [script, *words]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
