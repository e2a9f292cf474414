"""Encoders of texts, a file for each family."""
