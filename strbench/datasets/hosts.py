"""Addresses that several datasets share."""

HUB_PAGE = "https://huggingface.co/datasets/topdu/OpenOCR-Data"  # OpenOCR's LMDBs
# The form of address that answers without the page on virus scans.
DRIVE = "https://drive.usercontent.google.com/download?id={}&export=download&confirm=t"
MMOCR = "https://download.openmmlab.com/mmocr/data/"
RRC = "https://rrc.cvc.uab.es/downloads/"
GITHUB = "https://raw.githubusercontent.com/"  # + owner/name/commit/path
CVC = "https://datasets.cvc.uab.es/rrc/"  # the larger files of the competition's site
ADELAIDE = "https://universityofadelaide.box.com/shared/static/"  # AdelaiDet's and MMOCR's copies


def hub(path: str) -> tuple[str, str]:
    """A file of OpenOCR's data: the newest, then that of the revision whose checksums are known here.

    The checksum pins the content at either; the second helps when the first has become another file.
    """
    return f"{HUB_PAGE}/resolve/main/{path}", f"{HUB_PAGE}/resolve/d59c1364/{path}"
