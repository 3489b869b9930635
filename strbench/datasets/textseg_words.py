"""The words of TextSeg with their masks, cut here: the task of DiG and CCD, whose slices are not published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from strbench.annotations.rows import fault
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.cutting import ahead, encode_image
from strbench.datasets.textseg import PAGES, PARTS
from strbench.datasets.textseg import parse as parse_textseg
from strbench.datasets.tree import Tree
from strbench.types import Sample


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Words of TextSeg's photographs, masks of version 2, cut to their upright boxes; ids ``ID_K``."""
    pages = parse_textseg(tree, f"textseg/{split.partition('/')[2]}")
    if pages is None:
        return None
    if not any(name.endswith("_anno.json") for name in tree.files):
        raise fault(
            f"{tree.shown} lacks the words: no ID_anno.json lies there.",
            "Bring annotation.tar.gz too.",
        )
    return _words(pages)


def _words(pages: Iterable[Sample]) -> Iterator[Sample]:
    for words in ahead(_cut, pages):
        yield from words


def _cut(page: Sample) -> list[Sample]:
    """The words of a photograph of which at least one pixel is text, in the order of the file."""
    import numpy as np

    from strbench.crops import crop
    from strbench.loading import decode
    from strbench.masks import TEXT, decode_mask, encode_mask

    assert page.mask is not None
    pixels, mask = decode(page.image), decode_mask(page.mask)
    layers = np.repeat(mask[:, :, None], 3, axis=2)
    words: list[Sample] = []
    for k, region in enumerate(page.regions or ()):
        word, its = (crop(image, region.polygon, "box") for image in (pixels, layers))
        if word is not None and its is not None and (its == TEXT).any():
            image, painted = encode_image(word, "png"), encode_mask(its[:, :, 0])
            words.append(Sample(f"{page.id}_{k}", image, group=page.id, mask=painted))
    return words


_FILES = ("image.tar.gz", "semantic_label.tar.gz", "annotation.tar.gz", "split.json")

SPEC = Spec(
    id="textseg_words",
    title="TextSeg, words",
    task="segmentation",
    raw="textseg",
    splits=tuple(
        SplitSpec(
            name=f"textseg_words/{part}",
            n=0,
            about="words cut from the photographs, masks of version 2",
            labels=("official",),
        )
        for part in PARTS
    ),
    sources=(
        Source(
            title="the authors' archives, words cut here",
            access="manual",
            splits=tuple(f"textseg_words/{part}" for part in PARTS),
            labels="official",
            files=tuple(Remote(file=file, urls=()) for file in _FILES),
        ),
    ),
    pages=(PAGES,),
    licence="Adobe Research licence; academic use only, on request by e-mail",
    paper="Xu, Zhang, Wang, Price, Wang, Shi: Rethinking Text Segmentation: A Novel Dataset and A "
    "Text-Specific Refinement Approach, CVPR 2021; on its words Yang et al., Reading and Writing, ACM MM 2022",
    notes=(
        "How DiG and CCD cut their slices is not published. Here a word is the upright box of its "
        "outline, without a margin, and neighbours in the box are text as well.",
        "A word of whose box no pixel is text in the mask is left out.",
        "The authors send the archives on request to textseg.dataset@gmail.com.",
    ),
    drop_in=_FILES,
    parse=parse,
)
