"""Fusions that factorise matrices: they learn vectors from train rows without labels."""
