"""Forgetting a customer: who that is, where the customer stands, and how each place is rid of the name."""
