"""The demo: the whole pipeline on this machine, from deployment to the comparison with the expected rows."""
