"""Scoring ten million words, beside a plain loop of re.sub and rapidfuzz over a part of them.

    python benchmarks/speed/score_10m.py [--n 10000000] [--part 300000] [--rounds 2]

strbench.metrics.recognition.score_words gives the outcome and the 1-NED of every sample under
strbench-36. The plain loop lower-cases, drops what is not 0-9a-z and calls rapidfuzz pair by pair; it
runs over the first `--part` pairs and its time is scaled up. Both must agree on that part. Labels are
words of 2 to 12 signs in mixed case with punctuation here and there; one prediction in seven has an
error. Target: over two million words a second.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import sys

from rapidfuzz.distance import Levenshtein
from timing import interleaved, show

from strbench.metrics.recognition import score_words

TARGET = 2e6  # words a second
SIGNS = "abcdefghijklmnopqrstuvwxyz" * 3 + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 2 + "0123456789" + "-.'&!"


def pairs(n: int) -> tuple[list[str], list[str]]:
    """Labels and predictions; each text is an object of its own, as if read from a file."""
    draw = random.Random(0)
    stock = "".join(draw.choices(SIGNS, k=1 << 20))
    labels, texts = [], []
    for _ in range(n):
        start = draw.randrange(len(stock) - 12)
        label = stock[start : start + draw.randrange(2, 13)]
        labels.append(label)
        if draw.random() < 1 / 7:
            at = draw.randrange(len(label))
            texts.append(label[:at] + draw.choice(("", "x", "rn")) + label[at + 1 :])
        else:
            texts.append(label[:1] + label[1:])
    return labels, texts


def plain_loop(labels: list[str], texts: list[str]) -> tuple[int, float]:
    """Correct words and the sum of 1-NED, pair by pair."""
    correct, similarity = 0, 0.0
    for label, text in zip(labels, texts, strict=True):
        a = re.sub("[^0-9a-z]", "", label.lower())
        b = re.sub("[^0-9a-z]", "", text.lower())
        correct += a == b
        similarity += 1 - Levenshtein.distance(a, b) / max(len(a), len(b), 1)
    return correct, similarity


def main() -> None:
    """Print both rates, their ratio and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=10_000_000)
    parser.add_argument("--part", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    labels, texts = pairs(options.n)
    before = peak_gigabytes()
    few, few_texts = labels[: options.part], texts[: options.part]
    scores = score_words(few, few_texts)
    correct, similarity = plain_loop(few, few_texts)
    assert scores.n_correct == correct
    assert abs(scores.similarity_sum - similarity) < 1e-6 * options.part
    seconds = interleaved(
        {
            "score_words": lambda: score_words(labels, texts),
            "plain loop": lambda: plain_loop(few, few_texts),
        },
        rounds=options.rounds,
    )
    seconds["plain loop"] = [s * options.n / len(few) for s in seconds["plain loop"]]
    print(f"{options.n:,} words; the plain loop ran over {len(few):,} of them and is scaled up")
    show(seconds, items=options.n, unit="words")
    print(f"peak memory {peak_gigabytes():.2f} GB, of which the texts themselves {before:.2f} GB")
    rate = options.n / min(seconds["score_words"])
    print(f"target {TARGET:,.0f} words/s: {'met' if rate >= TARGET else 'MISSED'} with {rate:,.0f}")


def peak_gigabytes() -> float:
    """The largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6)  # bytes there, KiB on Linux


if __name__ == "__main__":
    main()
