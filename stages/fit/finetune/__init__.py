"""Fine-tuning of pre-trained networks with a linear classifier on top: BERT-like ones on texts, timm's on pictures."""
