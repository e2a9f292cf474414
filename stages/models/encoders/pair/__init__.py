"""Encoders that read a text and its picture together."""
