"""The infrastructure, one ComponentResource per stage of a file's way.

`__main__.py` wires them in the order the data flows. Nothing here imports the code that
runs in AWS; what a stage needs of it (SQL, archives, names) is handed in.
"""
