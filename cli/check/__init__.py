"""What would happen to a file, without any pipeline."""
