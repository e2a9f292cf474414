"""The feature store: for each encoder a growing set of segments, found by key."""
