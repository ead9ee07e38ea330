"""A believable shop: dimensions and daily transactions, with the expected outcome of every row.

Everything is a pure function of the seed and of a number (an order's, a row's), so no state
is carried from day to day and the same arguments give the same bytes:

draws       numbers from the seed
dimensions  products and customers
lives       what becomes of an order over days, and the outcome of each of its rows
forms       the ways a row is written: odd but valid spellings, and named faults with their reasons
days        how many rows a day has, and which orders tell them
rows        the bytes of a piece of a day's file
expected    the outcomes, the fact and the totals, as Parquet and JSON
files       the folder that holds it all

The expected outcomes are declared here (in lives and forms) and never computed by the job.
"""

from mock_data.args import MockDataArgs
from mock_data.files import MockData

__all__ = ["MockData", "MockDataArgs"]
