"""Backfills: many days of files, dropped in batches and reported in one mail."""
