"""One module per task, one function per metric; metrics see texts and boxes, never a model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What a figure is called, how it is shown, and where it is computed."""

    name: str
    shown: str  # column head in tables
    unit: str
    meaning: str
    function: str  # "module:function"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="word_accuracy",
            shown="Acc",
            unit="%",
            meaning="share of words whose label and prediction agree under the protocol",
            function="strbench.metrics.recognition:word_accuracy",
        ),
        Metric(
            name="one_minus_ned",
            shown="1-NED",
            unit="%",
            meaning="mean over words of 1 - edit distance / length of the longer text",
            function="strbench.metrics.recognition:one_minus_ned",
        ),
        Metric(
            name="ladder",
            shown="exact / case / alnum",
            unit="words",
            meaning="words that agree exactly, but for case, and in ASCII letters and digits alone",
            function="strbench.metrics.recognition:ladder",
        ),
        Metric(
            name="char_recall",
            shown="Char R",
            unit="%",
            meaning="label characters found in order in the prediction, as MMOCR counts them",
            function="strbench.metrics.recognition:char_counts",
        ),
        Metric(
            name="char_precision",
            shown="Char P",
            unit="%",
            meaning="predicted characters found in order in the label, as MMOCR counts them",
            function="strbench.metrics.recognition:char_counts",
        ),
    )
}
