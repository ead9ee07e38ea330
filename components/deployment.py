"""The stack that a component belongs to: it gives the names and tags."""

from __future__ import annotations

import re
from dataclasses import dataclass

from components.refusals import require


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One stack in one Region."""

    project: str
    environment: str
    """The stack's name."""
    region: str

    def __post_init__(self) -> None:
        require(
            re.fullmatch(r"[a-z][a-z0-9-]{0,13}", self.environment) is not None,
            "stack",
            self.environment,
            "a name of 1 to 14 lower-case letters, digits and hyphens, starting with a letter",
        )

    def name(self, resource: str) -> str:
        """The full name of something a person types, such as `transactions-pipeline-dev-drops`."""
        return f"{self.project}-{self.environment}-{resource}"

    def regional_name(self, resource: str) -> str:
        """The full name of something that all Regions of an account share, such as a role: it ends in the Region."""
        return f"{self.name(resource)}-{self.region}"

    def tags(self, **more: str) -> dict[str, str]:
        """The tags of every resource of this stack."""
        return {"project": self.project, "environment": self.environment, **more}
