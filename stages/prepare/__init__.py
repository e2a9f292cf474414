"""The stage `prepare`: from a source to the manifest that every other stage reads."""
