"""Training epoch by epoch: states that outlive a killed run, and what they follow from."""
