"""Fusions in which the text looks at the picture, trained by retrieval."""
