"""Inputs side by side: matrices opened, joined in one layout, and scaled."""
