"""The functions between the events: start_run, notify, archive and sweep.

Each function is a package: `handler.py` reads the event and the environment, the modules
beside it decide and act. What several functions must agree on is here, in modules
named after what they decide. Runs in AWS Lambda on Python 3.13.
"""
