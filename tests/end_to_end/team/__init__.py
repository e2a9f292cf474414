"""Several people over one store and one DVC remote."""
