"""What an item is to the store: its key, its row in the manifest, its part in the split, its vector."""
