"""The stage `split`: which items train, which choose, which test."""
