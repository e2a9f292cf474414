"""A look at a data set before it is prepared: `diptych prepare --dry-run`."""
