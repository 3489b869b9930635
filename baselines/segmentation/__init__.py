"""Text segmentation: which pixels of an image are text."""
