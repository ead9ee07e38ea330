"""What is seen while drops move, and when a demo ends."""
