"""Somebody's own table in CSV, JSONL or Parquet: vetted as a whole before one row is kept."""
