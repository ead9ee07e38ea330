"""Files on their way in: their keys, their upload, their progress, and what they would change."""
