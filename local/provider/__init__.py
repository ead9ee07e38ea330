"""The provider of the local cloud: creates every type of resource that the program declares in moto.

Each type has one small function in a module of this package. A type without a function is
refused by name.
"""

from __future__ import annotations

from local.provider import functions, jobs, messaging, monitoring, network, storage, warehouse
from local.provider.context import Create, Inputs, MotoGaps, MotoProvider, Outputs, UnknownResource, whole_numbers
from local.provider.tracked_inputs import TrackedInputs

__all__ = ["MotoGaps", "MotoProvider", "UnknownResource", "create"]

CREATE: dict[str, Create] = {
    **functions.CREATE,
    **jobs.CREATE,
    **messaging.CREATE,
    **monitoring.CREATE,
    **network.CREATE,
    **storage.CREATE,
    **warehouse.CREATE,
}

IGNORED: dict[str, frozenset[str]] = {
    # Used by `pulumi destroy` alone.
    "aws:s3/bucket:Bucket": frozenset({"forceDestroy"}),
    # moto has no Redshift Serverless, and the emulator has no capacity, network, roles or limits.
    "aws:redshiftserverless/namespace:Namespace": frozenset({"iamRoles", "manageAdminPassword", "tags"}),
    "aws:redshiftserverless/usageLimit:UsageLimit": frozenset({"amount", "breachAction", "period", "usageType"}),
    "aws:redshiftserverless/workgroup:Workgroup": frozenset(
        {"baseCapacity", "maxCapacity", "port", "publiclyAccessible", "securityGroupIds", "subnetIds", "tags"}
    ),
}
"""Type -> the inputs that the local cloud ignores on purpose."""


def create(provider: MotoProvider, type_: str, name: str, inputs: Inputs) -> tuple[str, Outputs]:
    """Create one resource; returns its id and its outputs, the inputs included. Raises UnknownResource."""
    if type_ not in CREATE:
        raise UnknownResource(
            f"the program declares {name!r} of type {type_}, which the local cloud cannot create; "
            "add a function for it to local/provider"
        )
    tracked = TrackedInputs(whole_numbers(inputs))
    outputs = {**inputs, **CREATE[type_](provider, name, tracked)}
    ignored = set(tracked.ignored()) - IGNORED.get(type_, frozenset())
    if ignored:
        raise UnknownResource(
            f"the program sets {', '.join(sorted(ignored))} of {name!r}, a {type_}, which the local cloud ignores; "
            "use it in local/provider, or name it in IGNORED"
        )
    return str(outputs.get("id") or f"{name}-id"), outputs
