"""Encoders: one raw item in, one row of numbers out, the same wherever it is computed."""
