"""The pipeline a command works on, local or on AWS: how it is reached, and its state."""
