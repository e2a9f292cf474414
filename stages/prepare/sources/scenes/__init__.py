"""The embedded data set: pictures composed of emoji, told in captions with the words of scenes.yaml."""
