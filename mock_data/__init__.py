"""A realistic shop: dimensions and daily transactions, with the expected outcome of every row.

Every value is a pure function of the seed and a number (of an order or a row). So no state is
carried from day to day, and equal arguments give equal bytes.

rng              numbers from the seed
profile          the frequency of each history and each fault
catalogue        names, categories and prices of goods
dimensions       products and customers
calendar         the number of rows of each day, and their orders
order_histories  the development of an order over days, and the outcome of each of its rows
row_variants     the ways to write a row: odd but valid spellings, and named faults with their reasons
rows             the bytes of a piece of a day's file
expected         the outcomes, the fact and the totals, as Parquet and JSON
files            the folder with all files
args             the arguments and their limits

The expected outcomes are declared here (in order_histories and row_variants) and never computed by the job.
"""

from mock_data.args import MockDataArgs
from mock_data.files import MockData

__all__ = ["MockData", "MockDataArgs"]
