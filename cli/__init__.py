"""The operator's command `pipeline`, listed in `cli.main`.

`commands` has one module per command; the folders beside it do the work, one folder per topic.
"""
