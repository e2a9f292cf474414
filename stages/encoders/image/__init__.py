"""Image encoders, one file per family."""
