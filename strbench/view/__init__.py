"""Results image by image: a folder with one page that opens from disk, without a server.

``detection_items``, ``recognition_items``, ``restored_items`` and ``mask_items`` make a ``Gallery`` of
what a protocol scored, and ``write_page`` writes it. Another task needs a function like those two and nothing else: an item may
have several pictures, and filters, figures and orders are part of the gallery.
"""

from __future__ import annotations

from strbench.view.items import (
    Figure,
    Filter,
    Gallery,
    Item,
    Judged,
    Mark,
    Order,
    Picture,
    detection_items,
    recognition_items,
)
from strbench.view.page import is_page, write_page

__all__ = [
    "Figure",
    "Filter",
    "Gallery",
    "Item",
    "Judged",
    "Mark",
    "Order",
    "Picture",
    "detection_items",
    "is_page",
    "recognition_items",
    "write_page",
]
