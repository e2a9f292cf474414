"""Runs that are stopped, or fail: what they keep, what they say, and how they go on."""
