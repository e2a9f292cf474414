"""Heads: everything that turns one feature vector into scores or ranks a gallery; `train` and `retrieve` use them."""
