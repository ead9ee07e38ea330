"""A believable shop: dimensions and daily transactions, with the expected outcome of every row.

Everything is a pure function of the seed and of a number (an order's, a row's), so no state
is carried from day to day and the same arguments give the same bytes:

rng              numbers from the seed
profile          how often each history and each fault occurs
catalogue        which names, categories and prices belong together
dimensions       products and customers
calendar         how many rows a day has, and which orders they belong to
order_histories  how an order develops over days, and the outcome of each of its rows
row_variants     the ways a row is written: odd but valid spellings, and named faults with their reasons
rows             the bytes of a piece of a day's file
expected         the outcomes, the fact and the totals, as Parquet and JSON
files            the folder that holds it all
args             the arguments, and what is refused of them

The expected outcomes are declared here (in order_histories and row_variants) and never computed by the job.
"""

from mock_data.args import MockDataArgs
from mock_data.files import MockData

__all__ = ["MockData", "MockDataArgs"]
