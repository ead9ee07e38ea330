"""The large job on local Spark. Run by `make test-large`; the names of its modules keep them out of `make test`."""
