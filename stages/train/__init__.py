"""Stage `train`: one experiment, a fusion and a head on cached features, over several seeds."""
