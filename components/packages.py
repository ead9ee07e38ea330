"""The files of the repository that are uploaded to AWS, and their names there."""

from __future__ import annotations

from pathlib import Path

import pulumi

from components.refusals import ConfigError


def job_wheel(directory: Path, *, python: str = "3.9") -> Path:
    """The one wheel for this Python that `pipeline wheel` has built; raises ConfigError where there is none, or more
    than one."""
    tag = f"cp{python.replace('.', '')}"
    name = f"transactions_pipeline-*-{tag}-{tag}-manylinux2014_x86_64.whl"
    wheels = sorted(directory.glob(name))
    if not wheels:
        command = "make wheel" if python == "3.9" else f"pipeline wheel --python {python}"
        raise ConfigError(f"{directory} holds no wheel of the job ({name}); build it with `{command}`, then try again")
    if len(wheels) > 1:
        raise ConfigError(
            f"{directory} holds more than one wheel of the job ({', '.join(wheel.name for wheel in wheels)}); "
            "delete the old ones, or all of them and run `make wheel`"
        )
    return wheels[0]


def function_code(root: Path) -> pulumi.AssetArchive:
    """The functions' zip: handlers under the import names they have in the repository, and the contract."""
    handlers = sorted((root / "lambdas").rglob("*.py"))
    # schemas/warehouse needs Polars, which no Lambda has.
    schemas = sorted((root / "schemas").glob("*.py"))
    return pulumi.AssetArchive(
        {path.relative_to(root).as_posix(): pulumi.FileAsset(path) for path in [*handlers, *schemas]}
    )
