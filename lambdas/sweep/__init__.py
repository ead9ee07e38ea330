"""On a schedule: find what an event lost, and have it finished by the function whose work it is."""
