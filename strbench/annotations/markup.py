"""One XML file for all photographs: a ``tagset`` of images with rectangles or polygons.

Rectangles (SVT, ICDAR 2003, the boxes of ICDAR 2013)::

    <image><imageName>img/18_01.jpg</imageName><lex>DOOR,THE</lex><taggedRectangles>
      <taggedRectangle x="539" y="349" width="186" height="79"><tag>DOOR</tag></taggedRectangle>

Polygons (CUTE80)::

    <Image><ImageName>image001.jpg</ImageName>
      <PolygonPoints x="232 237 248" y="159 152 141">test</PolygonPoints>
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from xml.etree import ElementTree

from strbench.annotations.boxes import box
from strbench.annotations.rows import fault, make_region, numbers
from strbench.types import Region

_BOX = ("x", "y", "width", "height")


class Marked(NamedTuple):
    """A photograph of a tagset."""

    name: str  # as the XML has it, e.g. "img/18_01.jpg"
    regions: tuple[Region, ...]
    lexicon: tuple[str, ...] = ()  # SVT: the words to choose from


def read_tagset(data: bytes, place: str) -> list[Marked]:
    """The photographs and their regions, in the order of the file.

    A rectangle's ``annotated`` is its x, y, width, height; its further attributes (ICDAR 2003:
    ``offset``, ``rotation``, ``userName``) are tags. A text is None where there is no ``tag``.

    Raises:
        StrbenchError: not XML, no tagset, an image without a name or named twice, or a region whose
            numbers are missing or wrong.
    """
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise fault(f"{place}: not readable XML ({error}).", "Fetch the file again.") from error
    if root.tag.lower() != "tagset":
        raise fault(f"{place}: expected a tagset, found {root.tag[:40]!r}.")
    marked: dict[str, Marked] = {}
    images = [child for child in root if child.tag.lower() == "image"]
    for n, image in enumerate(images, 1):
        names = [child.text or "" for child in image if child.tag.lower() == "imagename"]
        name = names[0].strip() if len(names) == 1 else ""
        where = f"{place}, image {n} ({name})"
        if not name or name in marked:
            raise fault(f"{where}: expected one name, and another than the images before.")
        lexicon = (image.findtext("lex") or "").split(",")
        words = tuple(word.strip() for word in lexicon if word.strip())
        marked[name] = Marked(name, tuple(_regions(image, where)), words)
    return list(marked.values())


def _regions(image: ElementTree.Element, where: str) -> Iterator[Region]:
    shapes = (e for e in image.iter() if e.tag.lower() in ("taggedrectangle", "polygonpoints"))
    for n, shape in enumerate(shapes, 1):
        here = f"{where}, region {n}"
        if shape.tag.lower() == "polygonpoints":
            yield _polygon(shape, here)
        else:
            yield _rectangle(shape, here)


def _rectangle(shape: ElementTree.Element, where: str) -> Region:
    missing = [key for key in _BOX if key not in shape.attrib]
    if missing:
        raise fault(f"{where}: expected the attributes {', '.join(_BOX)}, found no {missing[0]}.")
    x, y, width, height = annotated = numbers([shape.attrib[key] for key in _BOX], where)
    tags = {key: value for key, value in shape.attrib.items() if key not in _BOX}
    corners = box(x, y, x + width, y + height)
    return make_region(corners, shape.findtext("tag"), where, annotated=annotated, tags=tags)


def _polygon(shape: ElementTree.Element, where: str) -> Region:
    xs, ys = (numbers(shape.get(axis, "").split(), where) for axis in ("x", "y"))
    if len(xs) != len(ys):
        raise fault(f"{where}: expected as many x as y, found {len(xs)} and {len(ys)}.")
    flat = [value for point in zip(xs, ys, strict=True) for value in point]
    return make_region(flat, shape.text or "", where)
