"""Captions and instances as COCO lays them out."""
