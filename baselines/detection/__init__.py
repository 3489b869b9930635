"""Detectors and spotters: a file a paper."""
