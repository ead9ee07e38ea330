"""A local cloud: AWS on one machine, so that the product itself needs no special cases."""
