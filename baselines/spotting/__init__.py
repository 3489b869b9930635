"""Spotters, which find text and read it: a file a paper."""
