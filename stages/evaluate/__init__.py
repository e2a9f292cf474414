"""Stage `evaluate`: turn one experiment's predictions into metrics, a per-class table and a confusion list."""
