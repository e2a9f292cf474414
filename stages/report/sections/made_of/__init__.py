"""Sections on what the run was made of."""
