"""Numbers about results: decisions, intervals, paired swaps, neighbours, similarity."""
