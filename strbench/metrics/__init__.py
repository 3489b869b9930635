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
        Metric(
            name="psnr",
            shown="PSNR",
            unit="dB",
            meaning="mean over images of 10 log10(1 / squared error), RGB in [0, 1]",
            function="strbench.metrics.restoration:psnr",
        ),
        Metric(
            name="ssim",
            shown="SSIM",
            unit="",
            meaning="mean over images of structural similarity, as TextZoom computes it",
            function="strbench.metrics.restoration:ssim",
        ),
        Metric(
            name="fg_iou",
            shown="fgIoU",
            unit="%",
            meaning="intersection over union of text pixels, pooled over all images",
            function="strbench.metrics.segmentation:fg_iou",
        ),
        Metric(
            name="mean_iou",
            shown="mIoU",
            unit="%",
            meaning="mean of the pooled IoU of text and of background",
            function="strbench.metrics.segmentation:mean_iou",
        ),
        Metric(
            name="texrnet_f",
            shown="F",
            unit="%",
            meaning="harmonic mean of image-averaged pixel precision and recall, as TexRNet's code has it",
            function="strbench.metrics.segmentation:texrnet_f",
        ),
        Metric(
            name="word_crop_iou",
            shown="IoU of words",
            unit="%",
            meaning="mean over word crops of 32 x 128 pixels of their IoU of text",
            function="strbench.metrics.segmentation:word_crop_iou",
        ),
    )
}
