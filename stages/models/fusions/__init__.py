"""Several inputs become one: each fusion is a class and a row of the catalogue."""
