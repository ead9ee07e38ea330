"""AWS's interface on this machine: one endpoint, moto behind IAM, and the services that moto lacks."""
