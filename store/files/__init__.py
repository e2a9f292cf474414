"""Bytes that appear whole or not at all, and reading what nobody has vetted."""
