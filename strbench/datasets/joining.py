"""Files that belong together: twins by their keys, and photographs with one file that annotates all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from strbench.annotations.rows import examples, fault
from strbench.archives import stream
from strbench.datasets.tree import Tree, is_image, stem
from strbench.types import Region, Sample


def check_twins(tree: Tree, of: Mapping[str, str], among: Mapping[str, str], what: str) -> None:
    """Raise a StrbenchError that counts and shows the files of ``of`` whose key ``among`` lacks."""
    alone = [name for key, name in of.items() if key not in among]
    if alone:
        raise fault(examples(f"{tree.shown}: {what}", alone))


def join_pages(
    tree: Tree,
    regions: Mapping[str, Sequence[Region]],
    place: str,
    *,
    part: str,
    key: Callable[[str], str] = stem,
    streamed: Sequence[str] = (),
) -> Iterator[Sample]:
    """A sample for every photograph that is annotated; its id is its key.

    Photographs in folders come first, in the order of the annotations, then those in archives, in
    the order of these. Photographs that are not annotated are no samples: train and test often lie
    in one folder.

    Args:
        regions: key -> what is written on the photograph.
        place: of the annotations, for messages.
        part: the name of the split. If folders have it in their names, the others are left alone:
            train and test photographs may share their names.
        key: the key of a photograph from its path.
        streamed: names of archives that may hold photographs, see ``Spec.streamed``.

    Raises:
        StrbenchError: a photograph is missing, or lies in two folders.
    """
    archives = [path for name, path in tree.streamed.items() if name in streamed]
    images = [name for name in tree.images if part in name.rpartition("/")[0].lower()]
    found: dict[str, str] = {}
    for image in images or ([] if archives else tree.images):
        if key(image) in regions and found.setdefault(key(image), image) != image:
            raise fault(
                f"{tree.shown}: {found[key(image)]} and {image} are both {key(image)} of {place}.",
                "Import a folder that holds one of them.",
            )
    missing = [k for k in regions if k not in found]
    if missing and not archives:
        raise _missing(missing, place)
    for k in regions:
        if k in found:
            yield Sample(k, tree.read(found[k]), regions=tuple(regions[k]))
    if missing:
        yield from _streamed(archives, regions, missing, place, key)


def _streamed(
    archives: Sequence[Path],
    regions: Mapping[str, Sequence[Region]],
    missing: Sequence[str],
    place: str,
    key: Callable[[str], str],
) -> Iterator[Sample]:
    wanted = dict.fromkeys(missing)
    for archive in archives:
        for file in stream(archive):
            k = key(file.name)
            if is_image(file.name) and k in wanted:
                del wanted[k]
                yield Sample(k, file.read_bytes(), regions=tuple(regions[k]))
    if wanted:
        raise _missing(list(wanted), place)


def _missing(keys: Sequence[str], place: str) -> Exception:
    return fault(
        examples(f"{place}: annotated photographs that are missing", keys),
        "Bring all its archives or folders of photographs together.",
    )
