"""The ten stages, one folder each, and what they share: encoders, fusions, heads, the manifest, errors."""
