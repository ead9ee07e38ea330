"""The operator's command `pipeline`, listed in `cli.main`.

`commands` has what can be typed; the folders beside it have what the commands do, by topic.
"""
