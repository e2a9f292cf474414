"""What README and docs say is so, and their commands run as they stand."""
