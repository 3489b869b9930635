"""A split on disk: an LMDB in the field's own key scheme beside a manifest that says what it is.

Layout of ``<home>/data/<dataset>/<split>/``: ``data.mdb`` with ``num-samples`` (ASCII integer),
``image-%09d`` (encoded JPEG or PNG as found), ``label-%09d`` (UTF-8), counted from 1, so that PARSeq,
OpenOCR and clovaai read it as it is; beside them our ``id-%09d`` and ``group-%09d``, and
``manifest.json``. A photograph's text is ``regions-%09d`` (JSON, ``strbench.regions``), a text mask
``mask-%09d`` (PNG, ``strbench.masks``); a super-resolution pair lies in TextZoom's keys
``image_hr-%09d`` and ``image_lr-%09d`` in place of ``image-%09d``. Ids live in the LMDB and not in the manifest, which stays readable at 16 million
samples. An LMDB that the user already has is adopted where it lies: the manifest then points to it,
nothing is written there, and ids are the 1-based index in nine digits.

A folder appears whole, by rename, or not at all.
"""

from __future__ import annotations

from strbench.digests import fingerprint, sample_digest
from strbench.lmdb_files import count_samples
from strbench.packing import adopt_lmdb, write_split
from strbench.splits import (
    SPEC_VERSION,
    Manifest,
    Split,
    find_split,
    open_split,
    prepared_splits,
    split_directory,
)

__all__ = [
    "SPEC_VERSION",
    "Manifest",
    "Split",
    "adopt_lmdb",
    "count_samples",
    "find_split",
    "fingerprint",
    "open_split",
    "prepared_splits",
    "sample_digest",
    "split_directory",
    "write_split",
]
