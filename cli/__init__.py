"""The operator's command `pipeline`: one module per command, listed in `cli.main`."""
