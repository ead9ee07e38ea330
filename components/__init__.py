"""The infrastructure: one component for each part of the pipeline.

`__main__.py` wires them in the order the data flows; a component takes the components it builds on. Names, keys,
arguments and settings come from schemas/, which the code on AWS reads as well; that code itself is never imported.
"""
