"""notify: when a run has ended, mail the outcome of every row, once."""
