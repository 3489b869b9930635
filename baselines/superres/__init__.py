"""Text super-resolution: pairs of one word at two resolutions."""
