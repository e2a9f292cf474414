"""Runs from the data set to the report, and what a change of params, code or data reruns."""
