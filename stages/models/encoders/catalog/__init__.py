"""The catalogue: a row for each encoder, and what a user may choose of it."""
