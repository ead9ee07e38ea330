"""The stack that a component belongs to: it gives the names and tags."""

from __future__ import annotations

import re
from dataclasses import dataclass

from components.refusals import require

MOST_ROLE_CHARACTERS = 64
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html; none of our names has a lower limit."""
LONGEST_REGIONAL_WORD = "transactions"
"""The longest name that `regional_name` receives."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One stack in one Region."""

    project: str
    environment: str
    """The stack's name."""
    region: str

    def __post_init__(self) -> None:
        most = self.most_stack_characters
        require(
            re.fullmatch(r"[a-z][a-z0-9-]*", self.environment) is not None and len(self.environment) <= most,
            "stack",
            self.environment,
            f"a name of 1 to {most} lower-case letters, digits and hyphens, starting with a letter",
        )

    @property
    def most_stack_characters(self) -> int:
        """The maximum length of the stack's name, which its roles' names contain with the project and the Region."""
        return MOST_ROLE_CHARACTERS - len(f"{self.project}--{LONGEST_REGIONAL_WORD}-{self.region}")

    def name(self, resource: str) -> str:
        """The full name of something a person types, such as `transactions-pipeline-dev-drops`."""
        return f"{self.project}-{self.environment}-{resource}"

    def regional_name(self, resource: str) -> str:
        """The full name of something that all Regions of an account share, such as a role: it ends in the Region."""
        return f"{self.name(resource)}-{self.region}"

    def tags(self, **more: str) -> dict[str, str]:
        """The tags of every resource of this stack."""
        return {"project": self.project, "environment": self.environment, **more}
