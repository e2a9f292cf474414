"""Fine-tuning of texts, pictures and pairs: a network, a linear classifier on it, and the training of both."""
