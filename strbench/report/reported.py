"""Figures printed in papers and READMEs, from the CSVs that the benchmarks ship."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, fields
from importlib.resources import files

from strbench.errors import DATA, StrbenchError

FILES = ("recognition.csv", "superres_segmentation.csv", "detection.csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One printed number; empty text where the source does not say."""

    method: str
    variant: str
    decoder: str
    train_data: str
    label_fraction: str
    frozen_encoder: str
    split: str  # our split id where the variant of the set is certain
    dataset: str  # the set as printed
    protocol: str
    metric: str
    value: (
        str  # in the metric's unit (percent, dB, SSIM in [0, 1]), with the digits that were printed
    )
    source: str
    verified_by: str

    @property
    def label(self) -> str:
        """The method with what tells it from its siblings: variant, decoder, encoder, labels."""
        parts = [self.variant, self.decoder]
        if self.frozen_encoder == "yes":
            parts.append("frozen encoder")
        if self.label_fraction and not self.label_fraction.startswith("100"):
            parts.append(f"{self.label_fraction} of the labels")
        parts.append(self.train_data)
        detail = ", ".join(part for part in parts if part)
        return f"{self.method} ({detail})" if detail else self.method

    @property
    def citation(self) -> str:
        """The first words of the source, up to the year where it names one; second hand said so."""
        parts = [part.strip() for part in self.source.split(",")]
        years = [i for i, part in enumerate(parts) if re.search(r"\b(19|20)\d\d$", part)]
        cited = ", ".join(parts[: years[0] + 1 if years else 2])
        second_hand = [part.partition(";")[0] for part in parts if part.startswith("as given in ")]
        return ", ".join([cited, *second_hand])


def load_reported() -> list[Figure]:
    """Every reported figure that has a value, in the order of ``FILES``.

    Raises:
        StrbenchError: a file lacks a column.
    """
    names = [field.name for field in fields(Figure)]
    figures: list[Figure] = []
    for file in FILES:
        resource = files("strbench.benchmarks") / "reported" / file
        reader = csv.DictReader(io.StringIO(resource.read_text(encoding="utf-8")))
        if reader.fieldnames != names:
            raise StrbenchError(
                f"{resource} should have the columns {', '.join(names)}; "
                f"it has {', '.join(reader.fieldnames or [])}.",
                hint="Install strbench again.",
                exit_code=DATA,
            )
        figures += [Figure(**row) for row in reader if row["value"]]
    return figures
