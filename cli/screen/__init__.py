"""The screens of commands: the progress of drops, and the end of a demo."""
