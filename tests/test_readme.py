"""The README says what the program does: its figures are in the records, its commands exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import cast

import pytest
import typer

from strbench.cli import app
from strbench.records import load_all
from strbench.report.committed import committed_folder
from strbench.report.frame import METRICS, Metric

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """The strbench commands of the code blocks, continued lines joined, remarks cut."""
    blocks = re.findall(r"```[a-z]*\n(.*?)```", README, re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.partition(" #")[0].strip() for line in lines if line.startswith("strbench ")]


def test_the_measured_figures_are_those_of_the_records() -> None:
    rows = re.findall(r"^\| [^|]+ \|(.*)\|$", README, re.M)
    cells = [cell for row in rows for cell in re.findall(r"(\d+): ([\d.]+) \[([\d., ]+)\]", row)]
    figures = set()
    for record in load_all(committed_folder()):
        for score in record.scores:
            accuracy = score.word_accuracy
            if accuracy is None:
                continue
            assert accuracy.low is not None
            assert accuracy.high is not None
            figures.add(
                (
                    str(accuracy.correct),
                    f"{100 * accuracy.correct / accuracy.n:.1f}",
                    f"{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}",
                )
            )
    assert len(cells) == 36
    assert set(cells) <= figures


def test_the_figures_of_images_and_photographs_are_those_of_the_records() -> None:
    text = README.partition("## What was measured here")[2].partition("\n## ")[0]
    said = {
        "hmean": re.findall(r"F (\d+\.\d) \[", text),
        "recall": re.findall(r"finds (\d+) of the", text),
        "psnr": re.findall(r"(\d+\.\d\d)(?: dB| \[)", text),
        "ssim": re.findall(r"\b(0\.\d{4})\b", text),
        "low_accuracy": re.findall(r"reads (\d+) of the\s+low-resolution", text),
        "restored_accuracy": re.findall(r"(\d+) of the enlarged", text),
        "high_accuracy": re.findall(r"(\d+) of the true ones", text),
    }
    known: dict[str, set[str]] = {name: set() for name in said}
    for record in load_all(committed_folder()):
        for score in record.scores:
            for name in score.figures.keys() & said.keys():
                figure = score.figures[name]
                shown = METRICS[cast(Metric, name)].text(figure.value)
                known[name].add(shown if figure.part is None else f"{figure.part:g}")
    for name, figures in said.items():
        assert figures, name
        assert set(figures) <= known[name], name


@pytest.mark.parametrize("line", commands())
def test_every_command_exists_with_its_options(line: str) -> None:
    group = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    while isinstance(group, typer.core.TyperGroup):
        group = group.commands[words.pop(0)]
    known = {name for parameter in group.params for name in parameter.opts}
    used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert used <= known, used - known
