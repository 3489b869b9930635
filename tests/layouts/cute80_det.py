"""CUTE80: photographs and an XML that describes more images than there are."""

from __future__ import annotations

from layouts import Layout, picture, zipped
from strbench.datasets.cute80_det import SPEC

_XML = """<?xml version="1.0" encoding="utf-8"?>
<tagset>
 <Image><ImageName>image001.jpg</ImageName>
  <PolygonPoints x="2 30 30 2" y="3 3 9 9">test</PolygonPoints>
  <PolygonPoints x="2 2 30" y="3 9 9">test</PolygonPoints></Image>
 <Image><ImageName>image002.JPG</ImageName>
  <PolygonPoints x="1 9 9" y="1 1 9">test</PolygonPoints></Image>
 <Image><ImageName>image002.jpg</ImageName>
  <PolygonPoints x="2 9 9" y="1 1 9">test</PolygonPoints>
  <PolygonPoints x="3 9 9" y="1 1 9">test</PolygonPoints></Image>
 <Image><ImageName>image003.jpg</ImageName>
  <PolygonPoints x="4 9 9" y="1 1 9">test</PolygonPoints></Image>
 <Image><ImageName>image081.jpg</ImageName>
  <PolygonPoints x="5 9 9" y="1 1 9">test</PolygonPoints></Image>
</tagset>"""


def _layout() -> Layout:
    top = SPEC.sources[0].files[0].file.partition(".")[0]
    names = ("image001.jpg", "image002.jpg", "image003.JPG")
    images = {f"{top}/CUTE80/{name}": picture(i, kind="JPEG") for i, name in enumerate(names)}
    files = {f"{top}/Groundtruth/GroundTruth.xml": _XML, f"{top}/README.md": "CUTE80", **images}
    return Layout(
        files={SPEC.sources[0].files[0].file: zipped(files)},
        n=3,
        counts={"regions": 5, "ignored": 0},
    )


LAYOUTS = {("cute80_det/test", SPEC.sources[0].title): _layout}
