"""The pipeline that a command works on, local or on AWS: its outputs, its clients and its state."""
