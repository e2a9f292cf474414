"""What is fitted and run: encoders, features, fusions, heads; it knows no verb."""
