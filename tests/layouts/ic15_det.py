"""ICDAR 2015 photographs: images and one text file each, in two zips."""

from __future__ import annotations

from layouts import Layout, picture, zipped

_ROWS = "\ufeff10,4,30,4,30,12,10,12,Genaxis Theatre\r\n1,20,9,20,9,28,1,28,###\r\n"


def _test() -> Layout:
    numbers = range(1, 12)
    return Layout(
        files={
            "ch4_test_images.zip": zipped(
                {f"img_{i}.jpg": picture(i, kind="JPEG") for i in numbers}
            ),
            "Challenge4_Test_Task4_GT.zip": zipped({f"gt_img_{i}.txt": _ROWS for i in numbers}),
            "lexicons.zip": zipped(
                {
                    **{f"strong_lexicon/voc_img_{i}.txt": "THEATRE\nGENAXIS\n" for i in numbers},
                    "ch4_test_vocabulary_new.txt": "GENAXIS\nTHEATRE\n",
                    "GenericVocabulary_new.txt": "A\nAA\n",
                }
            ),
        },
        n=11,
        counts={"regions": 22, "ignored": 11},
    )


def _train() -> Layout:
    numbers = range(1, 4)
    return Layout(
        files={
            "ch4_training_images.zip": zipped({f"img_{i}.jpg": picture(i) for i in numbers}),
            "ch4_training_localization_transcription_gt.zip": zipped(
                {f"gt_img_{i}.txt": _ROWS + "1,2,9,2,9,8,1,8,a,b\r\n" for i in numbers}
            ),
        },
        n=3,
        counts={"regions": 9, "ignored": 3},
    )


LAYOUTS = {
    ("ic15_det/test", "the competition's test set"): _test,
    ("ic15_det/train", "the competition's training set"): _train,
}
