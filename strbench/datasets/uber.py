"""Uber-Text: words on signs and houses, cut from street-level photographs."""

from __future__ import annotations

from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import HUB_PAGE, hub

SPEC = Spec(
    id="uber",
    title="Uber-Text, words",
    splits=(
        SplitSpec(
            name="uber/test",
            n=80_551,
            about="as PARSeq and CLIP4STR report",
            folders=("Uber", "uber_80551"),
        ),
    ),
    sources=(
        Source(
            title="OpenOCR LMDB",
            access="hf",
            splits=("uber/test",),
            files=(
                Remote(
                    file="Uber/data.mdb",
                    urls=hub("test/Uber/data.mdb"),
                    sha256=("1c2bd8abc52283192c1c5a54ca6f708a17e74e4d500ff81d6428534a0937254e",),
                    size=264_884_224,
                ),
            ),
        ),
    ),
    pages=(HUB_PAGE,),
    licence="none known to us; the photographs are Uber's, for research",
    paper="Zhang, Gueguen, Zharkov, Zhang, Seifert, Kadlec: Uber-Text: A Large-Scale Dataset for "
    "Optical Character Recognition from Street-Level Imagery, Scene Understanding Workshop, CVPR 2017",
    notes=("Other training sets of the field hold words of the same photographs.",),
    drop_in=("Uber/data.mdb",),
)
