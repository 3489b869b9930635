"""Records -> entries: one score of one run, and which of them may stand in a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from strbench.records import Record, load_all
from strbench.scores import Accuracy, Figure, Score, Similarity

if TYPE_CHECKING:
    import pandas as pd

Metric = Literal[
    "word_accuracy",
    "one_minus_ned",
    "hmean",
    "precision",
    "recall",
    "average_precision",
    "psnr",
    "ssim",
    "low_accuracy",
    "restored_accuracy",
    "high_accuracy",
    "fg_iou",
    "mean_iou",
    "texrnet_f",
    "word_crop_iou",
]


class Shown(NamedTuple):
    """How a metric's values stand in a table."""

    head: str
    unit: str = "%"
    scale: int = 100  # a value times this is what is shown
    digits: int = 1

    @property
    def title(self) -> str:
        """The head with its unit, as a caption has it: ``Acc (%)``."""
        return f"{self.head} ({self.unit})" if self.unit else self.head

    def text(self, value: float) -> str:
        """A value as it is shown.

        >>> Shown("Acc").text(0.9201), Shown("PSNR", "dB", 1, 2).text(23.0648)
        ('92.0', '23.06')
        """
        return f"{self.scale * value:.{self.digits}f}"

    def signed(self, value: float) -> str:
        """A difference as it is shown, with its sign."""
        return f"{self.scale * value:+.{self.digits}f}"


METRICS: dict[Metric, Shown] = {
    "word_accuracy": Shown("Acc"),
    "one_minus_ned": Shown("1-NED"),
    "hmean": Shown("F"),
    "precision": Shown("P"),
    "recall": Shown("R"),
    "average_precision": Shown("AP"),
    "psnr": Shown("PSNR", "dB", 1, 2),
    "ssim": Shown("SSIM", "", 1, 4),
    "low_accuracy": Shown("Acc of the low-resolution images"),
    "restored_accuracy": Shown("Acc of the restored images"),
    "high_accuracy": Shown("Acc of the high-resolution images"),
    "fg_iou": Shown("fgIoU"),
    "mean_iou": Shown("mIoU"),
    "texrnet_f": Shown("F of pixels"),
    "word_crop_iou": Shown("IoU of words"),
}
NO_LEXICON = "none"

# Metrics that are means over the samples of a split: sets can be pooled by adding up. Pooled PSNR is
# none, but its papers weigh the sets by their sizes all the same.
PER_SAMPLE: frozenset[Metric] = frozenset(
    {
        "word_accuracy",
        "one_minus_ned",
        "psnr",
        "ssim",
        "low_accuracy",
        "restored_accuracy",
        "high_accuracy",
        "word_crop_iou",
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One score of one finished run."""

    record: Record
    score: Score

    @property
    def model(self) -> str:
        return self.record.name

    @property
    def lexicon(self) -> str:
        """The tag of the lexicon that corrected what was read, "none" without one."""
        said = [t for t in self.score.signature.split("|") if t.startswith("lexicon:")]
        return said[0].partition(":")[2] if said else NO_LEXICON

    def value(self, metric: Metric) -> float | None:
        """The figure: a proportion in [0, 1], or in the metric's unit.

        None where the run did not take it or the split is empty.
        """
        if metric == "word_accuracy":
            accuracy = self.score.word_accuracy
            return accuracy.correct / accuracy.n if accuracy and accuracy.n else None
        if metric == "one_minus_ned":
            similarity = self.score.one_minus_ned
            return similarity.sum / similarity.n if similarity and similarity.n else None
        return self.score.figures[metric].value if metric in self.score.figures else None

    def total(self, metric: Metric) -> float | int | None:
        """The integer count of correct words, the sum over the samples, or what is divided."""
        if metric == "word_accuracy":
            return self.score.word_accuracy.correct if self.score.word_accuracy else None
        if metric == "one_minus_ned":
            return self.score.one_minus_ned.sum if self.score.one_minus_ned else None
        if metric not in self.score.figures:
            return None
        figure = self.score.figures[metric]
        is_sum = figure.part is None and metric in PER_SAMPLE
        return figure.value * self.score.n if is_sum else figure.part

    def interval(self, metric: Metric) -> tuple[float, float] | None:
        """The 95 % interval of ``value``, where the run recorded one."""
        measure: Accuracy | Similarity | Figure | None
        if metric == "word_accuracy":
            measure = self.score.word_accuracy
        elif metric == "one_minus_ned":
            measure = self.score.one_minus_ned
        else:
            measure = self.score.figures.get(metric)
        if measure is None or measure.low is None or measure.high is None:
            return None
        return measure.low, measure.high


@dataclass(frozen=True, slots=True)
class Omission:
    """A run, or one score of it, that stays out of the tables, and why."""

    model: str
    run_id: str
    path: Path
    split: str  # "" where the whole run is out
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What enters the tables and what does not."""

    entries: list[Entry]
    omissions: list[Omission]


_OUT = {
    "started": "started and never ended (killed, or still running)",
    "error": "ended with an error",
    "partial": "partial (the same command resumes it)",
}


def select(
    records: Iterable[Record],
    *,
    protocol: str | None = None,
    models: Sequence[str] | None = None,
) -> Selection:
    """The newest whole run of every model, split, protocol and lexicon; the rest with its reason.

    A run with a limit, or one that did not succeed, stays out, and so does what a model scored on a
    split that it was trained on. All entries of a split have one
    fingerprint, that of the newest run on it: a score on another version is not comparable.
    """
    wanted = [record for record in records if models is None or record.name in models]
    wanted.sort(key=lambda record: (record.started, record.path.name), reverse=True)
    omissions: list[Omission] = []
    whole: list[Record] = []
    for record in wanted:
        if record.kind not in ("eval", "score"):
            continue
        if protocol is not None and not _scored_with(record, protocol):
            continue
        reason = _OUT.get(record.status)
        if reason is None and record.limit is not None:
            reason = "limited to a part of the samples"
        if reason is None:
            whole.append(record)
        else:
            omissions.append(_omission(record, "", reason))
    current: dict[str, str] = {}  # split -> fingerprint of the newest whole run
    newest: dict[tuple[str, str, str, str], Entry] = {}
    for record in whole:  # newest first
        for score in record.scores:
            if protocol is not None and score.protocol != protocol:
                continue
            if score.seen:
                reason = "no test: the model was trained on this split"
                omissions.append(_omission(record, score.split, reason))
                continue
            if current.setdefault(score.split, score.fingerprint) != score.fingerprint:
                reason = "stale: another version of the split (its fingerprint differs)"
                omissions.append(_omission(record, score.split, reason))
                continue
            entry = Entry(record, score)
            key = (record.name, score.split, score.protocol, entry.lexicon)
            if key in newest:
                reason = "stale: a newer run of the same model, split and protocol exists"
                omissions.append(_omission(record, score.split, reason))
                continue
            newest[key] = entry
    return Selection(list(newest.values()), omissions)


def _scored_with(record: Record, protocol: str) -> bool:
    """Whether a run belongs to a protocol; one that never got to scoring says so itself."""
    if record.scores:
        return any(score.protocol == protocol for score in record.scores)
    return not record.protocol or protocol in record.protocol.split("+")


def _omission(record: Record, split: str, reason: str) -> Omission:
    return Omission(record.name, record.run_id, record.path, split, reason)


def long_rows(records: Iterable[Record], *, reported: bool = True) -> list[dict[str, Any]]:
    """Every score of every run and every reported figure, one dictionary a row.

    Nothing is left out: ``enters`` says whether the row stands in a table, ``reason`` why not. A run
    without scores gives one row with an empty split. Values are proportions in [0, 1]; PSNR is in dB.
    """
    runs = list(records)
    reasons: dict[tuple[Path, str], str] = {
        (omission.path, omission.split): omission.reason for omission in select(runs).omissions
    }
    rows: list[dict[str, Any]] = []
    for record in runs:
        fixed = {
            "model": record.name,
            "status": record.status,
            "run_id": record.run_id,
            "kind": "measured",
            "source": record.path.name,
        }
        whole = reasons.get((record.path, ""), "")
        if not record.scores:
            rows.append({**_EMPTY, **fixed, "enters": False, "reason": whole or "no scores"})
        for score in record.scores:
            reason = whole or reasons.get((record.path, score.split), "")
            entry = Entry(record, score)
            for metric in METRICS:
                interval = entry.interval(metric)
                if entry.value(metric) is None:
                    continue
                rows.append(
                    {
                        **_EMPTY,
                        **fixed,
                        "split": score.split,
                        "protocol": score.protocol,
                        "metric": metric,
                        "value": entry.value(metric),
                        "low": interval[0] if interval else None,
                        "high": interval[1] if interval else None,
                        "total": entry.total(metric),
                        "n": score.n,
                        "rendered": score.rendered,
                        "signature": score.signature,
                        "enters": not reason,
                        "reason": reason,
                    }
                )
    if reported:
        from strbench.report.reported import load_reported

        scales: dict[str, int] = {name: shown.scale for name, shown in METRICS.items()}
        for figure in load_reported():
            rows.append(
                {
                    **_EMPTY,
                    "model": figure.label,
                    "split": figure.split or figure.dataset,
                    "protocol": figure.protocol,
                    "metric": figure.metric,
                    # what METRICS does not show is in percent: F of reading, with a lexicon or none
                    "value": float(figure.value) / scales.get(figure.metric, 100),
                    "status": "reported",
                    "kind": "reported",
                    "source": figure.source,
                    "enters": False,
                    "reason": "reported, not measured",
                }
            )
    return rows


_EMPTY: dict[str, Any] = {
    "model": "",
    "split": "",
    "protocol": "",
    "metric": "",
    "value": None,
    "low": None,
    "high": None,
    "total": None,
    "n": None,
    "status": "",
    "run_id": "",
    "rendered": False,
    "kind": "measured",
    "source": "",
    "signature": "",
    "enters": False,
    "reason": "",
}


def results(records: Path | None = None, *, reported: bool = True) -> pd.DataFrame:
    """All measured and reported figures in long form, as a pandas DataFrame.

    Columns: model, split, protocol, metric, value, low, high, total, n, status, run_id, rendered,
    kind (``measured`` or ``reported``), source, signature, enters, reason. ``total`` is the count of
    correct words, or the sum of the similarities.

    Args:
        records: the folder of run records; ``<home>/records`` where not given. An absent folder
            gives the reported rows alone.
        reported: whether the figures printed in papers are in it.
    """
    import pandas as pd

    from strbench.home import home

    folder = records if records is not None else home() / "records"
    runs = load_all(folder) if records is not None or folder.is_dir() else []
    frame = pd.DataFrame(long_rows(runs, reported=reported), columns=list(_EMPTY))
    return frame.astype({"n": "Int64", "value": "float64", "low": "float64", "high": "float64"})
