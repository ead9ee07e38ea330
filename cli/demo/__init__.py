"""The whole pipeline on this machine, from deployment to the comparison with what was expected."""
