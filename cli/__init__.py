"""The operator's command `pipeline`, listed in `cli.main`.

`commands` has one module per command; the folders beside it do the work, one folder per topic.
"""

import csv

# By default a value above 128 KiB is an error. A rejected row is shown whatever its length.
csv.field_size_limit(2**31 - 1)
