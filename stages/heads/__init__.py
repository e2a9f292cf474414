"""Heads: everything that turns one feature vector into scores; `train` fits them, alone or behind a fusion."""
