"""Trained models asked again: what they lose without an input, and what they look like inside."""
