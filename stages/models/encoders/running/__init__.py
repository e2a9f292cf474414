"""How an encoder is driven: batches, devices and engines, and networks that are held to torch."""
