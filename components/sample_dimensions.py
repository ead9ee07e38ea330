"""The first products and customers, dropped like any others."""

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
    """Everything that a drop sets going: it must be there before the first file is uploaded."""


class SampleDimensions(PipelineComponent):
    """Dimension files that load themselves by the event path, created after everything on that path."""

    def __init__(self, name: str, args: SampleDimensionsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.deployment, opts)
        for path in args.files:
            # Once loaded, the object is archived and no longer here. `pulumi up` does not look, and it does not
            # drop an edited sample again (ignore_changes). `pulumi refresh` does look: the next `pulumi up` then
            # drops the samples again, and the later upload wins over what was loaded for the same ids since.
            # A stack with dimensions of its own sets sampleDimensions to false; what is loaded or archived
            # stays (retain_on_delete).
            s3.BucketObjectv2(
                f"{name}-{path.stem}",
                bucket=args.storage.drop.bucket,
                key=f"{DIMENSIONS_PREFIX}{path.name}",
                source=pulumi.FileAsset(path),
                content_type="text/csv",
                tags=args.deployment.tags(Name=path.stem),
                # Each of them by itself: a component's children do not wait for what the component depends on.
                opts=self._child(*args.after, ignore_changes=["source", "tags", "tagsAll"], retain_on_delete=True),
            )
        self.register_outputs({})
