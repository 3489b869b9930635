"""Open Images V5 with OpenVINO's text annotation, words: five parts, photographs in large archives."""

from __future__ import annotations

from collections.abc import Iterator

from strbench.annotations.coco import read_openvino
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import DRIVE
from strbench.datasets.passes import cut_listed
from strbench.datasets.tree import Tree, stem
from strbench.types import Sample

_TEXT = (
    "https://storage.openvinotoolkit.org/repositories/openvino_training_extensions/datasets/"
    "open_images_v5_text/"
)
_IMAGES = "https://open-images-dataset.s3.amazonaws.com/tar/"
_PARTS = {  # part -> OpenOCR's LMDB on Google Drive
    "train_1": "1q23QAIRTyG0t-bBm4aAwRwiqB6VUfphw",
    "train_2": "1AtbaJljM68cbZqi5lcM92d9VkQUCbSqI",
    "train_5": "1dejstYnJ8_sESuO_uvwi__jT1B8gPxf3",
    "train_f": "1C4akchTc7-yi1OS_sJ3KP693UKcnecke",
    "validation": "17TRzSQhuK_juAxAv3KmX0y13pQP2cz6R",
}


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Legible English words of a part, cut by the rule of PARSeq, in the order of its archive.

    The archive of photographs is read as a stream, once, and never unpacked.
    """
    dataset, _, part = split.partition("/")
    names = tree.named(f"text_spotting_openimages_v5_{part}.json")
    if dataset != "openvino" or not names:
        return None
    place = tree.place(names[0])
    pages = read_openvino(tree.read(names[0]), place, outline="box")
    regions = {stem(name): page.regions for name, page in pages.items()}
    archives = [f"{part}.tar.gz"]
    return cut_listed(
        tree,
        regions,
        place,
        part=part,
        streamed=archives,
        crop="box-parseq",
        keep="parseq-openvino",
    )


SPEC = Spec(
    id="openvino",
    title="Open Images V5 text (OpenVINO), words",
    splits=(
        *(
            SplitSpec(
                name=f"openvino/{part}",
                n=0,
                about="legible English words",
                folders=(part,),
            )
            for part in _PARTS
        ),
        SplitSpec(
            name="openvino_dig/train",
            n=0,
            about="DiG's LMDB, with textocr_dig its labelled real data (ARD, 2.78 million words)",
            folders=("openimagetextv5",),
        ),
    ),
    sources=(
        *(
            Source(
                title="annotation and photographs, words cut here",
                access="direct",
                splits=(f"openvino/{part}",),
                files=(
                    Remote(
                        file=f"text_spotting_openimages_v5_{part}.json",
                        urls=(f"{_TEXT}text_spotting_openimages_v5_{part}.json",),
                    ),
                    Remote(file=f"{part}.tar.gz", urls=(f"{_IMAGES}{part}.tar.gz",)),
                ),
            )
            for part in _PARTS
        ),
        *(
            Source(
                title="OpenOCR LMDB",
                access="gdrive",
                splits=(f"openvino/{part}",),
                files=(Remote(file=f"{part}.zip", urls=(DRIVE.format(key),)),),
            )
            for part, key in _PARTS.items()
        ),
        Source(
            title="DiG's LMDB",
            access="manual",
            splits=("openvino_dig/train",),
            files=(
                Remote(
                    file="OpenImageTextV5/data.mdb",
                    urls=(),
                    note="https://1drv.ms/u/s!AgwG2MwdV23ckOdRteE0zcxINnlfJA?e=1iW92G",
                ),
            ),
        ),
    ),
    pages=(
        _TEXT,
        "https://github.com/cvdfoundation/open-images-dataset",
    ),
    licence="CC BY 4.0 (annotations, OpenVINO); photographs of Open Images, CC BY 2.0",
    paper="Krylov, Nosov, Sovrasov: Open Images V5 Text Annotation and Yet Another Mask Text Spotter, "
    "ACML 2021",
    notes=(
        "A part's archive holds many photographs that have no text; it is read as a stream and "
        "never unpacked. The JSON is held in memory as regions.",
        "Boxes are x, y, width, height, x and y rounded down and the sides up; what runs over the far "
        "edges of a photograph is black.",
        "Crops are written as JPEG of quality 95.",
    ),
    drop_in=(
        *(f"text_spotting_openimages_v5_{part}.json" for part in _PARTS),
        *(f"{part}.tar.gz" for part in _PARTS),
    ),
    streamed=tuple(f"{part}.tar.gz" for part in _PARTS),
    parse=parse,
)
