"""The base class of the components: a type token, options for child resources, and tags."""

from __future__ import annotations

from typing import Any

import pulumi

from components.deployment import Deployment


class PipelineComponent(pulumi.ComponentResource):
    """A component of one deployment; its type token is the project's name and the class's."""

    def __init__(self, name: str, deployment: Deployment, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{deployment.project}:index:{type(self).__name__}", name, {}, opts)
        self._name, self._deployment = name, deployment

    def _child(self, *after: pulumi.Resource, **options: Any) -> pulumi.ResourceOptions:
        """The options of a child that is created after some other resources."""
        return pulumi.ResourceOptions(parent=self, depends_on=list(after), **options)

    def _tags(self, resource: str) -> dict[str, str]:
        """The tags of a child; `resource` is its name within the stack."""
        return self._deployment.tags(Name=self._deployment.name(resource.replace("_", "-")))
