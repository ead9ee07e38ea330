"""The provider of the local cloud: every type of resource that the program declares, created in moto.

Each type is one small function in one of the modules beside this one. A type without a
function is refused by name.
"""

from __future__ import annotations

from local.provider import functions, jobs, messaging, monitoring, network, storage, warehouse
from local.provider.context import Create, Inputs, MotoGaps, MotoProvider, Outputs, UnknownResource, whole_numbers

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


def create(provider: MotoProvider, type_: str, name: str, inputs: Inputs) -> tuple[str, Outputs]:
    """Create one resource; returns its id and its outputs, the inputs included. Raises UnknownResource."""
    if type_ not in CREATE:
        raise UnknownResource(
            f"the program declares {name!r} of type {type_}, which the local cloud cannot create; "
            "add a function for it to local/provider"
        )
    outputs = {**inputs, **CREATE[type_](provider, name, whole_numbers(inputs))}
    return str(outputs.get("id") or f"{name}-id"), outputs
