"""Addresses that several datasets share."""

# OpenOCR's evaluation LMDBs; SHA-256 and size of each file are those its hub page lists.
HUB = "https://huggingface.co/datasets/topdu/OpenOCR-Data/resolve/main/"
HUB_PAGE = "https://huggingface.co/datasets/topdu/OpenOCR-Data"
# The form of address that answers without the page on virus scans.
DRIVE = "https://drive.usercontent.google.com/download?id={}&export=download&confirm=t"
MMOCR = "https://download.openmmlab.com/mmocr/data/"
RRC = "https://rrc.cvc.uab.es/downloads/"
GITHUB = "https://raw.githubusercontent.com/"  # + owner/name/commit/path
CVC = "https://datasets.cvc.uab.es/rrc/"  # the larger files of the competition's site
ADELAIDE = "https://universityofadelaide.box.com/shared/static/"  # AdelaiDet's and MMOCR's copies
