"""A run is over: tell the people who wait for it what became of every row, once."""
