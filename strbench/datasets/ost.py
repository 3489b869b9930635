"""OST (Occlusion Scene Text): words of the six common test sets, occluded by hand, HOST and WOST."""

from __future__ import annotations

from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import DRIVE, HUB_PAGE, hub

SPEC = Spec(
    id="ost",
    title="OST, Occlusion Scene Text: HOST (heavy) and WOST (weak)",
    splits=(
        SplitSpec(
            name="host/test",
            n=2416,
            about="heavily occluded words",
            folders=("heavy", "ost_heavy", "host"),
        ),
        SplitSpec(
            name="wost/test",
            n=2416,
            about="weakly occluded words",
            folders=("weak", "ost_weak", "wost"),
        ),
    ),
    sources=(
        Source(
            title="OpenOCR LMDB",
            access="hf",
            splits=("host/test",),
            labels="standard",
            files=(
                Remote(
                    file="heavy/data.mdb",
                    urls=(
                        *hub("OST/heavy/data.mdb"),
                        DRIVE.format("1RGpIFbD_SRlrzZFBoVF_LGvetNx1-5pg"),
                    ),
                    sha256=("e128d56e41f46f9b3c83255258fe77f171345ba102c8fb2d13466499a9b1a48d",),
                    size=15_949_824,
                ),
            ),
        ),
        Source(
            title="OpenOCR LMDB",
            access="hf",
            splits=("wost/test",),
            labels="standard",
            files=(
                Remote(
                    file="weak/data.mdb",
                    urls=(
                        *hub("OST/weak/data.mdb"),
                        DRIVE.format("1z5CTDJucUnvALG12Q4UXk1DDKJDd8WJn"),
                    ),
                    sha256=("e1f190c47254e6d83e7cc32452dd493f16439749c12173569b1fc8aa39be1c92",),
                    size=17_006_592,
                ),
            ),
        ),
    ),
    pages=(
        HUB_PAGE,
        "https://1drv.ms/u/s!AgwG2MwdV23ckOhw2Aj0lquBf3eGzA?e=pcFEth",  # DiG, HOST
        "https://1drv.ms/u/s!AgwG2MwdV23ckOhxVi_7kppEkFMz2A?e=lKYfUY",  # DiG, WOST
    ),
    licence="none stated by the authors (VisionLAN repository; for research)",
    paper="Wang, Xie, Fang, Wang, Zhu, Zhang: From Two to One: A New Scene Text Recognizer with "
    "Visual Language Modeling Network, ICCV 2021",
    notes=(
        "Both splits hold the same 2,416 words, so the count does not tell them apart: an LMDB is "
        "known by its folder (heavy, weak) or by the name it is imported under.",
        "There are no originals apart from the two LMDBs.",
    ),
    drop_in=("heavy/data.mdb", "weak/data.mdb"),
)
