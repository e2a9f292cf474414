"""The visual-semantic family: pictures and words in one space, with a classifier behind it."""
