"""Sections on what was measured."""
