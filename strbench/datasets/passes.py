"""Archives and folders of millions of files, read in one pass or two and never held.

``Spec.streamed`` names the archives that are read so. The same code reads a folder that somebody
unpacked already, at the cost of a list of its files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from strbench.archives import Packed, stream
from strbench.datasets.cutting import cut_pages
from strbench.datasets.joining import join_pages
from strbench.datasets.tree import Tree
from strbench.filters import keep as label_of
from strbench.types import Region, Sample


def each_file(tree: Tree, archives: Sequence[str]) -> Iterator[tuple[str, Path | Packed]]:
    """Name and file of all that lies in the tree, then in these archives, which it has as streams.

    A file of an archive must be read before the next one is asked for.
    """
    yield from tree.files.items()
    for name in archives:
        if name in tree.streamed:
            for packed in stream(tree.streamed[name]):
                yield packed.name, packed


def find_file(
    tree: Tree, archives: Sequence[str], names: Sequence[str]
) -> tuple[bytes, str] | None:
    """Bytes and place of the file with one of these last names, in any folder; None without it.

    Of an archive only what lies before the file is inflated.
    """
    for name, file in each_file(tree, archives):
        if name.rpartition("/")[2] in names:
            return file.read_bytes(), str(file)
    return None


def cut_listed(
    tree: Tree,
    pages: Mapping[str, Sequence[Region]],
    place: str,
    *,
    part: str,
    crop: str,
    keep: str,
    streamed: Sequence[str] = (),
) -> Iterator[Sample]:
    """The words of the photographs that one file annotates, cut and written as JPEG.

    Args:
        pages: stem of a photograph's name -> its regions.
        part, place, streamed: as of ``join_pages``.
        crop, keep: as of ``cut_words``.

    Raises:
        StrbenchError: a photograph of which words are kept is missing or damaged.
    """
    wanted = {
        page: regions
        for page, regions in pages.items()
        if any(label_of(region, keep) is not None for region in regions)
    }
    photographs = join_pages(tree, wanted, place, part=part, streamed=streamed)
    yield from cut_pages(photographs, crop=crop, keep=keep, encode="jpeg")
