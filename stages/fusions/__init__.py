"""Fusions: everything that joins several feature vectors of one item; `fuse` and `train` use them."""
