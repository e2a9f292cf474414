"""Immutable files of vectors with their keys, each named by its own digest."""
