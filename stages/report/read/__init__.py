"""What the earlier stages left, each kind of file read in one module; `finished` holds all of one run."""
