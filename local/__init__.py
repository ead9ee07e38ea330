"""The local cloud: AWS on one machine, so that the product needs no special cases.

local_cloud  the whole: deploys the program, starts everything, stops everything
deploy       `pulumi up` under Pulumi's mocks
provider     one function for each type of resource that the program declares
api          AWS's interface: one endpoint, moto behind IAM, and the services that moto lacks
moto_hooks   the behaviour in which moto differs from AWS
runtime      the services that act: event routing, functions, Glue runs
faults       fault injection
"""
