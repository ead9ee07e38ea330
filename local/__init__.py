"""A laptop's AWS: what stands in for the cloud, so that the product itself need not know."""
