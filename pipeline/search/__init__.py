"""The cached items nearest to a new picture or text."""
