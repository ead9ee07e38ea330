"""The errors of a job, classified by what to do about them.

    JobError
    ├── TerminalError          a person must act; trying again gives the same
    │   ├── FileRefused        the file's shape: columns, encoding, quotes, size
    │   ├── TooManyRejected    more rows rejected than max_reject_ratio allows
    │   ├── DimensionRefused   a dimension that cannot be joined or loaded
    │   ├── Unbalanced         the counts do not add up: nothing was committed
    │   └── WarehouseIncomplete  a table, a column or a right is missing
    └── TransientError         trying again may help
        ├── WarehouseBusy      serialisation failure, lock not had in time
        ├── WarehouseLost      the connection broke or could not be made
        ├── WarehouseSpent     the day's usage limit is reached: wait until tomorrow
        └── DropGone           the object version is not there any more; its drop may have been archived meanwhile

Every message is one sentence for the mail: what, which value, where, what to do.
"""

from __future__ import annotations


class JobError(Exception):
    is_transient = False


class TerminalError(JobError):
    pass


class FileRefused(TerminalError):
    pass


class TooManyRejected(TerminalError):
    pass


class DimensionRefused(TerminalError):
    pass


class Unbalanced(TerminalError):
    pass


class WarehouseIncomplete(TerminalError):
    """schemas.reports.WAREHOUSE_INCOMPLETE is its name in a report."""


class TransientError(JobError):
    is_transient = True


class WarehouseBusy(TransientError):
    pass


class WarehouseLost(TransientError):
    pass


class WarehouseSpent(TransientError):
    pass


class DropGone(TransientError):
    """A run can start while `archive` moves its drop. The next attempt reads the copy; without one, none is started."""
