"""The consolidated real training sets of Baek et al., CVPR 2021 ("STR with fewer labels")."""

from __future__ import annotations

from strbench.datasets import Remote, Source, Spec, SplitSpec

_LABELLED = {  # name here -> folder of the pack, what the authors say about its training part
    "svt": ("1.SVT", ""),
    "iiit": ("2.IIIT", ""),
    "ic13": ("3.IC13", ""),
    "ic15": ("4.IC15", ""),
    "coco": ("5.COCO", ", about 39,000"),
    "rctw17": ("6.RCTW17", ", 8,186"),
    "uber": ("7.Uber", ", about 92,000"),
    "art": ("8.ArT", ", about 29,000"),
    "lsvt": ("9.LSVT", ", about 34,000"),
    "mlt19": ("10.MLT19", ", about 46,000"),
    "rects": ("11.ReCTS", ", about 23,000"),
}
_UNLABELLED = {"textvqa": "U2.TextVQA", "stvqa": "U3.STVQA"}
_PACK = Remote(file="data_CVPR2021.zip", urls=())

_TRAIN = tuple(
    SplitSpec(
        name=f"str_fewer_labels/{name}",
        n=0,
        about=f"labelled training words of {folder.partition('.')[2]}{size}",
        folders=(f"training/label/real/{folder}",),
    )
    for name, (folder, size) in _LABELLED.items()
)
_VALIDATION = tuple(
    SplitSpec(
        name=f"str_fewer_labels/{name}_val",
        n=0,
        about=f"labelled validation words of {folder.partition('.')[2]}",
        folders=(f"validation/{folder}",),
    )
    for name, (folder, _) in _LABELLED.items()
)
_BARE = tuple(
    SplitSpec(
        name=f"str_fewer_labels/{name}",
        n=0,
        about=f"words without labels from {folder.partition('.')[2]}",
        labels=("none",),
        folders=(folder,),
    )
    for name, folder in _UNLABELLED.items()
)
_SYNTHADD = SplitSpec(
    name="synthadd/train",
    n=0,
    about="SynthAdd (SA), rendered words with punctuation, by Li et al., AAAI 2019",
    folders=("sa",),
)

SPEC = Spec(
    id="str_fewer_labels",
    title="STR-Fewer-Labels, eleven labelled and two unlabelled real sets",
    splits=(*_TRAIN, *_VALIDATION, *_BARE, _SYNTHADD),
    sources=(
        Source(
            title="the authors' pack on Dropbox",
            access="manual",
            splits=tuple(split.name for split in (*_TRAIN, *_VALIDATION)),
            files=(_PACK,),
        ),
        Source(
            title="the authors' pack on Dropbox",
            access="manual",
            splits=tuple(split.name for split in _BARE),
            labels="none",
            files=(_PACK,),
        ),
        Source(
            title="the authors' copy of SynthAdd",
            access="direct",
            splits=(_SYNTHADD.name,),
            files=(
                Remote(
                    file="SA.zip", urls=("https://www.dropbox.com/s/gugy8xdndwkm2cd/SA.zip?dl=1",)
                ),
            ),
        ),
    ),
    pages=(
        "https://www.dropbox.com/sh/1s6r4slurc5ei2n/AACg6TqoDfGdKe8t40Em1fgxa?dl=0",
        "https://github.com/ku21fan/STR-Fewer-Labels/blob/main/data.md",
    ),
    licence="one for each of its sets, see data.md of the authors' repository; for research",
    paper="Baek, Matsui, Aizawa: What If We Only Use Real Datasets for Scene Text Recognition? Toward "
    "Scene Text Recognition With Fewer Labels, CVPR 2021",
    notes=(
        "The third unlabelled set of the pack, U1.Book32, is book32/unlabelled.",
        "Unpack data_CVPR2021.zip once, into the folder that `strbench data fetch` names: the LMDBs "
        "are then used where they lie. From the zip itself every split unpacks the pack anew.",
        "Some copies of the unlabelled LMDBs hold labels; they are not read.",
        "The labelled sets hold Latin words only; PARSeq trains on COCO, RCTW17, Uber, ArT, LSVT, "
        "MLT19 and ReCTS of this pack.",
    ),
    drop_in=("data_CVPR2021.zip", "SA.zip"),
)
