"""IAM: words of English handwriting, by the official line split and by the RWTH partition."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from strbench.annotations.word_lists import (
    Word,
    read_iam_lines,
    read_iam_words,
    read_rwth_words,
)
from strbench.datasets import Remote, Source, Spec, SplitSpec
from strbench.datasets.labels import named_images
from strbench.datasets.tree import Tree
from strbench.types import Sample

# Their images in words.tgz cannot be decoded.
CORRUPT = frozenset({"a01-117-05-02", "r06-022-03-05"})

_LINES = {
    "iam/train": "trainset.txt",
    "iam/val1": "validationset1.txt",
    "iam/val2": "validationset2.txt",
    "iam/test": "testset.txt",
}
_RWTH = {
    "iam_rwth/train": "RWTH.iam_word_gt_final.train.thresh",
    "iam_rwth/val": "RWTH.iam_word_gt_final.valid.thresh",
    "iam_rwth/test": "RWTH.iam_word_gt_final.test.thresh",
}
_RWTH_SHA256 = {
    "iam_rwth/train": "d46b1f53926a7861a3737fb8b551badbee5357468384fef7af0eb1e2c0c40f00",
    "iam_rwth/val": "ef54c3bfc1651fd96b1d8f8b97f4550f793b38bfd236d05aaaef828755e8a5b9",
    "iam_rwth/test": "41c035620348a84244aa3f683054102c7da3bc7f50f83d3e70abf89b6c49b680",
}
_RWTH_URL = (
    "https://raw.githubusercontent.com/omni-us/research-seq2seq-HTR/"
    "e5de55d64ce68ef6e7f9128baa4e5f63bfe48897/RWTH_partition/"
)


def sample_id(path: str, split: str) -> str:
    """``a01-000u-00-03`` whatever folder it lies in."""
    return path.rpartition("/")[2].rpartition(".")[0]


def group(id_: str) -> str | None:
    """The form that a word is on; None of another name.

    >>> group("a01-000u-00-03")
    'a01-000u'
    """
    match = re.fullmatch(r"(.+)-\d\d-\d\d", id_)
    return match[1] if match else None


def parse(tree: Tree, split: str) -> Iterator[Sample] | None:
    """Samples of ``words/``, in the order of the list that names them.

    Of the line split: the words of ``words.txt`` whose segmentation is marked "ok" and whose line
    ``trainset.txt``, ``validationset1.txt``, ``validationset2.txt`` or ``testset.txt`` lists. Of the
    RWTH partition: the words of its own lists, which hold the texts.
    """
    found = _words(tree, split)
    if found is None:
        return None
    listed, words = found
    images = named_images(
        tree, [word.id for word in words], tree.place(listed), "Bring words.tgz too."
    )
    return (
        Sample(word.id, tree.read(image), word.text, group(word.id))
        for word, image in zip(words, images, strict=True)
    )


def _words(tree: Tree, split: str) -> tuple[str, Sequence[Word]] | None:
    """The list of words and the words of a split; None where the tree has no list of them."""
    if split in _RWTH:
        lists = tree.named(_RWTH[split])
        if not lists:
            return None
        words = read_rwth_words(tree.read(lists[0]), tree.place(lists[0]))
    else:
        lists, lines = tree.named("words.txt"), tree.named(_LINES[split])
        if not lists or not lines:
            return None
        chosen = set(read_iam_lines(tree.read(lines[0]), tree.place(lines[0])))
        every = read_iam_words(tree.read(lists[0]), tree.place(lists[0]))
        words = [word for word in every if word.is_sound and word.line in chosen]
    return lists[0], [word for word in words if word.id not in CORRUPT]


_WORDS = Remote(file="words.tgz", urls=())
_LISTS = (
    Remote(file="ascii.tgz", urls=()),
    Remote(file="largeWriterIndependentTextLineRecognitionTask.zip", urls=()),
)

SPEC = Spec(
    id="iam",
    title="IAM Handwriting Database, words",
    splits=(
        SplitSpec(
            name="iam/train",
            n=0,
            about="words of 6,161 lines; 46,945 of them are in the RWTH lists (counted)",
            folders=("IAM_train",),
        ),
        SplitSpec(
            name="iam/val1",
            n=0,
            about="words of 900 lines; 6,445 of them are in the RWTH lists (counted)",
            folders=("IAM_val1",),
        ),
        SplitSpec(
            name="iam/val2",
            n=0,
            about="words of 940 lines; 7,061 of them are in the RWTH lists (counted)",
            folders=("IAM_val2",),
        ),
        SplitSpec(
            name="iam/test",
            n=13_752,
            about="words of 1,861 lines, as DiG and SeqCLR report",
            folders=("IAM_test",),
        ),
        SplitSpec(name="iam_rwth/train", n=47_981, about="the RWTH (Aachen) partition of words"),
        SplitSpec(name="iam_rwth/val", n=7554, about="the RWTH (Aachen) partition of words"),
        SplitSpec(name="iam_rwth/test", n=20_305, about="the RWTH (Aachen) partition of words"),
    ),
    sources=(
        Source(
            title="the authors' archives (free registration)",
            access="manual",
            splits=tuple(_LINES),
            files=(_WORDS, *_LISTS),
        ),
        *(
            Source(
                title=f"DiG's LMDB {folder} (OneDrive)",
                access="manual",
                splits=(split,),
                files=(Remote(file=f"{folder}/data.mdb", urls=()),),
            )
            for split, folder in (("iam/train", "IAM_train"), ("iam/test", "IAM_test"))
        ),
        *(
            Source(
                title=f"the authors' words (free registration) with the list {name}",
                access="manual",
                splits=(split,),
                files=(
                    _WORDS,
                    Remote(file=name, urls=(_RWTH_URL + name,), sha256=(_RWTH_SHA256[split],)),
                ),
            )
            for split, name in _RWTH.items()
        ),
    ),
    pages=(
        "https://fki.tic.heia-fr.ch/databases/iam-handwriting-database",
        "https://1drv.ms/u/s!AgwG2MwdV23ckOh2pA6j5AL0Z0sVxQ?e=uNittd",  # DiG, train
        "https://1drv.ms/u/s!AgwG2MwdV23ckOh7VJ8vmfd7S_asCw?e=kdELCq",  # DiG, test
    ),
    licence="non-commercial research only (free registration at fki.tic.heia-fr.ch)",
    paper="Marti, Bunke: The IAM-database: an English sentence database for offline handwriting "
    "recognition, IJDAR 5, 2002",
    notes=(
        "Two images of words.tgz are corrupt and left out: a01-117-05-02 and r06-022-03-05. No list "
        "of the RWTH partition names them.",
        "Words whose segmentation is marked err are left out of the line split, as DiG does.",
        "The test words of the line split and those of the RWTH partition are different sets: 13,752 "
        "of the 75,840 words of the RWTH partition lie in lines of the first.",
        "The lists of the RWTH partition are texts of IAM under its licence.",
        "A few texts hold blanks.",
    ),
    drop_in=(
        "words.tgz",
        "ascii.tgz",
        _LISTS[1].file,
        "words.txt",
        *_LINES.values(),
        *_RWTH.values(),
    ),
    parse=parse,
    sample_id=sample_id,
    group=group,
)
