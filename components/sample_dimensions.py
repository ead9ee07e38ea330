"""The sample products and customers, uploaded like any others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
from pulumi_aws import s3

from components.deployment import Deployment
from components.pipeline_component import PipelineComponent
from components.storage import Storage
from schemas.drops import DIMENSIONS_PREFIX


@dataclass(frozen=True, kw_only=True)
class SampleDimensionsArgs:
    deployment: Deployment
    storage: Storage
    files: Sequence[Path]
    after: Sequence[pulumi.Resource]
    """All resources that a drop uses: they must exist before the first file is uploaded."""


class SampleDimensions(PipelineComponent):
    """Dimension files that load themselves by the event path, created after everything on that path."""

    def __init__(self, name: str, args: SampleDimensionsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.deployment, opts)
        for path in args.files:
            # Once loaded, the object is archived and no longer here. `pulumi up` does not check, and it does not
            # upload an edited sample again (ignore_changes). `pulumi refresh` does check: the next `pulumi up` then
            # uploads the samples again, and this later upload wins over newer rows of the same ids.
            # A stack with dimensions of its own sets sampleDimensions to false; what is loaded or archived
            # stays (retain_on_delete).
            s3.BucketObjectv2(
                f"{name}-{path.stem}",
                bucket=args.storage.drop.bucket,
                key=f"{DIMENSIONS_PREFIX}{path.name}",
                source=pulumi.FileAsset(path),
                content_type="text/csv",
                tags=args.deployment.tags(Name=path.stem),
                # Set on each child: a component's children do not wait for the component's own dependencies.
                opts=self._child(*args.after, ignore_changes=["source", "tags", "tagsAll"], retain_on_delete=True),
            )
        self.register_outputs({})
