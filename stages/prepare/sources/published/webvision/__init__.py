"""WebVision 1.0 and 2.0: pictures of search engines with title and description."""
