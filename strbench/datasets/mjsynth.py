"""MJSynth (MJ, Synth90k): 8.9 million rendered words of a 90,000-word lexicon."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator

from strbench.annotations.rows import fault
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import DRIVE
from strbench.datasets.passes import each_file, find_file
from strbench.datasets.tree import Tree
from strbench.types import Sample

_ARCHIVE = "mjsynth.tar.gz"
_LISTED = re.compile(rb"(?:\./)?([^/\s]+/[^/\s]+)/(\d+_[^/\s_]+_\d+\.jpg) \d+")
_TRAIN, _VAL, _TEST = 7_224_586, 802_731, 891_924

# The archive's corrupt images, as docTR lists them; no split holds them.
CORRUPT = frozenset(
    (
        "1881/4/225_Marbling_46673.jpg", "2069/4/192_whittier_86389.jpg",
        "869/4/234_TRIASSIC_80582.jpg", "173/2/358_BURROWING_10395.jpg",
        "913/4/231_randoms_62372.jpg", "596/2/372_Ump_81662.jpg",
        "936/2/375_LOCALITIES_44992.jpg", "2540/4/246_SQUAMOUS_73902.jpg",
        "1332/4/224_TETHERED_78397.jpg", "627/6/83_PATRIARCHATE_55931.jpg",
        "2013/2/370_refract_63890.jpg", "2911/6/77_heretical_35885.jpg",
        "1730/2/361_HEREON_35880.jpg", "2194/2/334_EFFLORESCENT_24742.jpg",
        "2025/2/364_SNORTERS_72304.jpg", "368/4/232_friar_30876.jpg",
        "275/6/96_hackle_34465.jpg", "384/4/220_bolts_8596.jpg",
        "905/4/234_Postscripts_59142.jpg", "2749/6/101_Chided_13155.jpg",
        "495/6/81_MIDYEAR_48332.jpg", "2852/6/60_TOILSOME_79481.jpg",
        "554/2/366_Teleconferences_77948.jpg", "1696/4/211_Queened_61779.jpg",
        "2128/2/369_REDACTED_63458.jpg", "2557/2/351_DOWN_23492.jpg",
        "2489/4/221_snored_72290.jpg", "1650/2/355_stony_74902.jpg",
        "1863/4/223_Diligently_21672.jpg", "264/2/362_FORETASTE_30276.jpg",
        "429/4/208_Mainmasts_46140.jpg", "1817/2/363_actuating_904.jpg",
    )
)  # fmt: skip


def read_list(data: bytes, place: str) -> dict[str, bytes]:
    """Folder ("2425/1") -> names of its images, a line each; of ``annotation_train.txt`` and its like.

    Not a set of paths, because 7.2 million of them take 1.1 GB, and these lines 0.2 GB. The corrupt
    images are left out.

    Raises:
        StrbenchError: a line that is not ``./FOLDER/N/I_WORD_K.jpg K``.
    """
    folders: dict[str, bytearray] = {}
    for n, line in enumerate(io.BytesIO(data), 1):
        if not line.strip():
            continue
        match = _LISTED.fullmatch(line.strip())
        if not match or not line.isascii():
            shown = line[:60].decode(errors="replace")
            raise fault(
                f"{place}, line {n}: expected ./2425/1/115_Lube_45484.jpg 45484, found {shown!r}."
            )
        folder, name = match[1].decode(), match[2]
        if f"{folder}/{name.decode()}" not in CORRUPT:
            folders.setdefault(folder, bytearray()).extend(name + b"\n")
    return {folder: bytes(names) for folder, names in folders.items()}


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``mjsynth.tar.gz``, or of what it unpacks to, in the order of the archive.

    The archive is read twice, the first time until the list of the split is found; nothing is
    unpacked. The label is the middle part of the image's name, in its case.
    """
    part = split.partition("/")[2]
    found = find_file(tree, [_ARCHIVE], [f"annotation_{part}.txt"])
    if found is None:
        return None
    return _samples(tree, read_list(*found), found[1])


def _samples(tree: Tree, listed: dict[str, bytes], place: str) -> Iterator[Sample]:
    left = Counter({folder: names.count(b"\n") for folder, names in listed.items()})
    here, wanted = "", frozenset[bytes]()
    for path, file in each_file(tree, [_ARCHIVE]):
        folder, number, name = ["", "", *path.split("/")][-3:]
        if f"{folder}/{number}" != here:
            here = f"{folder}/{number}"
            wanted = frozenset(listed.get(here, b"").splitlines())
        if name.encode(errors="surrogateescape") in wanted:
            left[here] -= 1
            yield Sample(f"{here}/{name}", file.read_bytes(), name.split("_")[1])
    short = {folder: n for folder, n in left.items() if n}
    if short:
        shown = ", ".join(f"{folder} ({n})" for folder, n in list(short.items())[:5])
        raise fault(
            f"{place}: {sum(short.values())} of its images are not there once, in the folders {shown}.",
            "Fetch the archive again.",
        )


SPEC = Spec(
    id="mjsynth",
    title="MJSynth (MJ, Synth90k), rendered words",
    splits=(
        SplitSpec(
            name="mjsynth/train",
            n=_TRAIN,
            about="7,224,612 listed words without the corrupt ones",
            folders=("mj_train",),
        ),
        SplitSpec(
            name="mjsynth/val",
            n=_VAL,
            about="802,734 listed words without the corrupt ones",
            folders=("mj_valid", "mj_val"),
        ),
        SplitSpec(
            name="mjsynth/test",
            n=_TEST,
            about="891,927 listed words without the corrupt ones",
            folders=("mj_test",),
        ),
    ),
    sources=(
        Source(
            title="the authors' archive",
            access="direct",
            splits=("mjsynth/train", "mjsynth/val", "mjsynth/test"),
            files=(
                Remote(
                    file=_ARCHIVE,
                    urls=("https://thor.robots.ox.ac.uk/~vgg/data/text/mjsynth.tar.gz",),
                    md5=("7bf2b60ad935eaf64e5b606f782d68e5",),
                ),
            ),
        ),
        *(
            Source(
                title="OpenOCR LMDB",
                access="gdrive",
                splits=(f"mjsynth/{part}",),
                files=(Remote(file=f"MJ_{part}.zip", urls=(DRIVE.format(key),)),),
            )
            for part, key in (
                ("train", "1FIoplSFZ-BKQoRDHDXsVMKa844e-K8PD"),
                ("val", "1eckTvaeRtlTZvbO2orrVz-cIuIk6i87K"),
                ("test", "1PBXTf-2PnmEvJBsqzJqxxRwzhAZGTiMG"),
            )
        ),
    ),
    pages=(
        "https://www.robots.ox.ac.uk/~vgg/data/text/",
        "https://huggingface.co/datasets/priyank-m/MJSynth_text_recognition",
        "https://pan.baidu.com/s/1BMYb93u4gW_3GJdjBWSCSw",  # DiG: Synth90k and SynthText, wi05
    ),
    licence="VGG, University of Oxford: for non-commercial research",
    paper="Jaderberg, Simonyan, Vedaldi, Zisserman: Synthetic Data and Artificial Neural Networks for "
    "Natural Scene Text Recognition, NIPS Deep Learning Workshop 2014",
    notes=(
        "32 images of the archive are corrupt (docTR's list) and left out by name; the counts are "
        "those of the LMDBs in circulation, which MindOCR's documentation prints.",
        "The field's MJ is all three splits together, 8,919,241 words.",
        "The archive (10 GB) is read as a stream, twice a split, and never unpacked; train takes "
        "about 1 GB of memory. A folder that it was unpacked to can be imported too, but the list "
        "of its 9 million files alone takes several GB.",
        "Labels keep their case: Lube, TETHERED, friar.",
    ),
    drop_in=(_ARCHIVE, "annotation_train.txt", "annotation_val.txt", "annotation_test.txt"),
    streamed=(_ARCHIVE,),
    parse=parse,
)
