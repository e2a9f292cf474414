"""Encoders: everything that turns one raw text or picture into one vector; `embed` drives them."""
