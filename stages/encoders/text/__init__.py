"""Text encoders, one file per family."""
