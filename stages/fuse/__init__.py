"""Stage `fuse`: join several matrices into one, without labels, so that any head or search can use the result."""
