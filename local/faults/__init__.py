"""Fault injection: the points at which a process may die, and plans of faults drawn from a seed."""
