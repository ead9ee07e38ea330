"""sweep: on a schedule, find work whose event was lost and hand it to the function that does it."""
