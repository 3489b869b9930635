"""ICDAR 2013 Focused Scene Text, Task 2.2: photographs with the pixels of their text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.hosts import RRC
from strbench.datasets.joining import check_twins
from strbench.datasets.pages import numbered
from strbench.datasets.tree import Tree
from strbench.types import Sample

_N = {"ic13_fst/train": 229, "ic13_fst/test": 233}
_STEM = r"((?:img_)?\d+)"


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``N.jpg``, ``N_GT.bmp`` or ``gt_N.png``, and ``N_GT.txt`` or ``gt_N.txt``.

    Where no photograph comes with its list of characters, all that is not white is text and there
    are no regions.
    """
    n = _N[split]
    images = numbered(tree, rf"{_STEM}\.(?:jpg|jpeg|png)", n, split=split)
    masks = numbered(tree, rf"(?=gt_|.*_gt\.)(?:gt_)?{_STEM}(?:_gt)?\.(?:bmp|png)", n, split=split)
    if images is None or masks is None:
        return None
    texts = _texts(tree, masks, n, split)
    check_twins(tree, images, masks, "photographs without a mask")
    check_twins(tree, masks, images, "masks without a photograph")
    if texts:
        check_twins(tree, masks, texts, "masks without a list of characters")
    return _samples(tree, images, masks, texts)


def _texts(tree: Tree, masks: Mapping[str, str], n: int, split: str) -> Mapping[str, str]:
    """Key -> list of characters: beside the masks under their names, or in a folder of its own."""
    names = {key: mask.rpartition(".")[0] + ".txt" for key, mask in masks.items()}
    texts = {key: name for key, name in names.items() if name in tree.files}
    return texts or numbered(tree, rf"{_STEM}_gt\.txt", n, split=split) or {}


def _samples(
    tree: Tree, images: Mapping[str, str], masks: Mapping[str, str], texts: Mapping[str, str]
) -> Iterator[Sample]:
    from strbench.annotations.character_masks import read_characters, read_colour_mask, words
    from strbench.masks import encode_mask

    for key, mask in masks.items():
        characters = regions = None
        if texts:
            place = tree.place(texts[key])
            characters = read_characters(tree.read(texts[key]), place)
            regions = words(characters, place)
        pixels = read_colour_mask(tree.read(mask), characters, tree.place(mask))
        yield Sample(key, tree.read(images[key]), regions=regions, mask=encode_mask(pixels))


def _source(part: str, name: str, md5: str) -> Source:
    images = f"Challenge2_{name}_Task12_Images.zip"
    masks = f"Challenge2_{name}_Task2_GT.zip"
    return Source(
        title=f"the competition's {part} set",
        access="direct",
        splits=(f"ic13_fst/{part}",),
        labels="official",
        files=(
            Remote(file=images, urls=(RRC + images,), md5=(md5,)),
            Remote(file=masks, urls=(RRC + masks,)),
        ),
    )


SPEC = Spec(
    id="ic13_fst",
    title="ICDAR 2013 Focused Scene Text, segmentation",
    task="segmentation",
    raw="ic13",
    splits=tuple(
        SplitSpec(name=name, n=n, about="pixels of characters", labels=("official",))
        for name, n in _N.items()
    ),
    sources=(
        _source("train", "Training", "a443b9649fda4229c9bc52751bad08fb"),
        _source("test", "Test", "af2e9f070c4c6a1c7bdb7b36bacf23e3"),
    ),
    pages=("https://rrc.cvc.uab.es/?ch=2&com=downloads",),
    licence="terms of the Robust Reading Competition, challenge 2 (free registration; for research)",
    paper="Karatzas et al.: ICDAR 2013 Robust Reading Competition, ICDAR 2013",
    notes=(
        "White is background, the colour of a listed character is text; ignored characters and "
        "colours that are not listed are ignored.",
        "Readers in the field take all that is not white for text where characters are not listed; "
        "so does this one if a set comes without its text files.",
        "The layout of the ground truth is that of the field's readers; the archives themselves "
        "were not at hand.",
        "The competition's site may ask for a login and then answers with a web page.",
    ),
    drop_in=(
        "Challenge2_Training_Task12_Images.zip",
        "Challenge2_Training_Task2_GT.zip",
        "Challenge2_Test_Task12_Images.zip",
        "Challenge2_Test_Task2_GT.zip",
    ),
    parse=parse,
)
