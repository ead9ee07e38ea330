"""Forgetting a customer: who the person is, which objects show the person, and how each one is redacted."""
