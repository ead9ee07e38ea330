"""The first products and customers, dropped like any others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
from pulumi_aws import s3

from components.deployment import Deployment
from schemas.drops import DIMENSIONS_PREFIX


@dataclass(frozen=True, kw_only=True)
class SampleDimensionsArgs:
    deployment: Deployment
    drop_bucket: pulumi.Input[str]
    files: Sequence[Path]
    after: Sequence[pulumi.Resource]
    """Whatever a drop sets going: it must be there before the first one falls."""


class SampleDimensions(pulumi.ComponentResource):
    """Dimension files that load themselves by the event path, created after everything on that path."""

    def __init__(self, name: str, args: SampleDimensionsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("transactions-pipeline:index:SampleDimensions", name, {}, opts)
        for path in args.files:
            # Loaded, the object is archived and no longer here. `pulumi up` does not look and lets it be,
            # nor does it drop an edited sample again (ignore_changes). `pulumi refresh` does look: the next
            # `pulumi up` then drops the samples again, a later upload that wins over what was loaded for the
            # same ids since. A stack with dimensions of its own sets sampleDimensions to false, which
            # leaves what is loaded or archived alone (retain_on_delete).
            s3.BucketObjectv2(
                f"{name}-{path.stem}",
                bucket=args.drop_bucket,
                key=f"{DIMENSIONS_PREFIX}{path.name}",
                source=pulumi.FileAsset(path),
                content_type="text/csv",
                tags=args.deployment.tags(Name=path.stem),
                opts=pulumi.ResourceOptions(
                    parent=self,
                    # Each of them by itself: a component's children do not wait for what the component depends on.
                    depends_on=args.after,
                    ignore_changes=["source", "tags", "tagsAll"],
                    retain_on_delete=True,
                ),
            )
        self.register_outputs({})
