"""Books with cover, title and description."""
