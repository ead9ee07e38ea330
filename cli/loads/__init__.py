"""The loads of a pipeline: commands list, find, show, explain, replay and retract them."""
