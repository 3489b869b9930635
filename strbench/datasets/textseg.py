"""TextSeg: photographs and designs with masks of text, of its effects, and outlines of words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial

from strbench.annotations.rows import decode_text, fault
from strbench.annotations.textseg import read_textseg
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.joining import check_twins
from strbench.datasets.tree import Tree
from strbench.types import Region, Sample

_V1 = re.compile(r"(?:^|/)semantic_label_v1(?:/|$)", re.IGNORECASE)


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``ID.jpg``, ``ID_maskfg.png`` and, where it lies there, ``ID_anno.json``.

    ``split.json`` lists the ids of a part. Masks of version 1 are known by their folder or archive,
    ``semantic_label_v1``; the annotation of words is of version 2 and comes with both.
    """
    from strbench.annotations.label_images import TEXTSEG_VALUES
    from strbench.datasets.pairs import level_reader, masked_samples

    dataset, _, part = split.partition("/")
    is_v1 = dataset == "textseg_v1"
    lists = tree.named("split.json")
    masks = _by_id(tree, r"(.+)_maskfg\.png", v1=is_v1)
    if not lists or not masks:
        return None
    ids = _ids(tree, lists[0], part)
    images = _by_id(tree, r"(.+)\.jpg")
    words = _by_id(tree, r"(.+)_anno\.json")
    wanted = {id_: lists[0] + f": {id_}" for id_ in ids}
    check_twins(tree, wanted, masks, f"ids of {part} without a mask")
    if words:
        check_twins(tree, wanted, words, f"ids of {part} without ID_anno.json")
    return masked_samples(
        tree,
        images,
        {id_: masks[id_] for id_ in ids},
        level_reader(TEXTSEG_VALUES),
        regions=partial(_regions, tree, words) if words else None,
    )


def _by_id(tree: Tree, pattern: str, *, v1: bool | None = None) -> dict[str, str]:
    """Id -> file for the files whose last name matches; None takes masks of either version."""
    found: dict[str, str] = {}
    for name in tree.files:
        folder, _, last = name.rpartition("/")
        match = re.fullmatch(pattern, last)
        if match and v1 in (None, bool(_V1.search(folder))):
            if match[1] in found:
                raise fault(f"{tree.shown}: {found[match[1]]} and {name} have one name.")
            found[match[1]] = name
    return found


def _ids(tree: Tree, name: str, part: str) -> list[str]:
    place = tree.place(name)
    try:
        parts = json.loads(decode_text(tree.read(name), place))
    except (ValueError, RecursionError) as error:
        raise fault(f"{place}: not readable JSON ({error}).") from error
    ids = parts.get(part) if isinstance(parts, dict) else None
    if not isinstance(ids, list) or not all(isinstance(id_, str) for id_ in ids):
        raise fault(f"{place}: expected a list of ids under {part!r}.")
    return ids


def _regions(tree: Tree, words: Mapping[str, str], id_: str) -> tuple[Region, ...]:
    return read_textseg(tree.read(words[id_]), tree.place(words[id_]))


PARTS = ("train", "val", "test")
PAGES = "https://github.com/SHI-Labs/Rethinking-Text-Segmentation"


def _splits(dataset: str, about: str) -> tuple[SplitSpec, ...]:
    return tuple(
        SplitSpec(name=f"{dataset}/{part}", n=0, about=about, labels=("official",))
        for part in PARTS
    )


def _source(dataset: str, title: str, labels: str) -> Source:
    return Source(
        title=title,
        access="manual",
        splits=tuple(f"{dataset}/{part}" for part in PARTS),
        labels="official",
        files=tuple(Remote(file=file, urls=()) for file in ("image.tar.gz", labels, "split.json")),
        optional=(
            Remote(
                file="annotation.tar.gz",
                urls=(),
                note="holds the words with their outlines and characters",
            ),
        ),
    )


SPEC = Spec(
    id="textseg",
    title="TextSeg",
    task="segmentation",
    splits=(
        *_splits("textseg", "labels of version 2, as released"),
        *_splits("textseg_v1", "labels of version 1, which the paper's figures are of"),
    ),
    sources=(
        _source("textseg", "the authors' archives", "semantic_label.tar.gz"),
        _source("textseg_v1", "the authors' archives, labels v1", "semantic_label_v1.tar.gz"),
    ),
    pages=(PAGES,),
    licence="Adobe Research licence; academic use only, on request by e-mail",
    paper="Xu, Zhang, Wang, Price, Wang, Shi: Rethinking Text Segmentation: A Novel Dataset and A "
    "Text-Specific Refinement Approach, CVPR 2021",
    notes=(
        "4,024 images in all. From memory, and therefore not checked: 2,646 train, 340 val, 1,038 "
        "test.",
        "The authors send the archives on request to textseg.dataset@gmail.com.",
        "The released labels are version 2; the paper's figures need semantic_label_v1.",
        "Values of semantic labels: 0 background, 100 word, 200 effect, 255 ignored. TexRNet's "
        "evaluation takes the effect for background.",
        "Scores of words cut out (DiG, CCD; textseg_words) are another task than whole images.",
    ),
    drop_in=(
        "image.tar.gz",
        "semantic_label.tar.gz",
        "semantic_label_v1.tar.gz",
        "annotation.tar.gz",
        "split.json",
    ),
    parse=parse,
)
