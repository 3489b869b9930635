"""CC-OCR (OCR-CC): words without labels from Conceptual Captions, for DiG's pretraining."""

from __future__ import annotations

from strbench.datasets import Remote, Source, Spec, SplitSpec

SPEC = Spec(
    id="cc_ocr",
    title="CC-OCR, unlabelled words of Conceptual Captions",
    splits=(
        SplitSpec(
            name="cc_ocr/unlabelled",
            n=0,
            about="about 15.77 million words that an engine found; DiG, CCD",
            labels=("none",),
        ),
    ),
    sources=(
        Source(
            title="DiG's LMDB on OneDrive, or CCD's copy on Baidu",
            access="manual",
            splits=("cc_ocr/unlabelled",),
            labels="none",
            files=(Remote(file="data.mdb", urls=()),),
        ),
    ),
    pages=(
        "https://1drv.ms/u/s!AgwG2MwdV23ckOhflPF53mo6a3lpsQ?e=6hoJv5",  # DiG
        "https://pan.baidu.com/s/1PW7ef17AkwG27H_RaP0pDQ",  # CCD, password C2CD
        # the photographs' addresses, of which TAP took the text
        "https://tapvqacaption.blob.core.windows.net/data/GoogleCC/Train_GCC-training.tsv",
    ),
    licence="the photographs are those of Conceptual Captions and not ours to pass on; for research",
    paper="Yang, Liao, Lu, Wang, Zhang, Zhang, Yang, Luo, Hu, Bai: Reading and Writing: "
    "Discriminative and Generative Modeling for Self-Supervised Text Recognition, ACM MM 2022",
    notes=("Every label of the LMDB is ###; no label is read.",),
    drop_in=("data.mdb",),
)
