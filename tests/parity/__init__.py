"""Workers apart from this process give the same bytes as this process alone."""
