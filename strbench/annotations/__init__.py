"""Annotation files, read: bytes in, rows and regions out, nothing of datasets or folders.

A module a family of formats. Every reader takes the bytes of one file and its *place*, the name that
error messages call it by, and either understands every row or raises a ``StrbenchError`` that names
file and line: no row is ever skipped, except those that a dataset documents as no row at all.
"""
