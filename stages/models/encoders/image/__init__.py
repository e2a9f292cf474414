"""From the bytes of a picture to its vectors: decoding, preprocessing, and a file for each family of encoders."""
