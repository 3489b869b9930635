"""Training batches: a pure function of (seed, step, rank), every sample once a pass."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from strbench.errors import DATA, StrbenchError
from strbench.feeds import WordFeed
from strbench.loading import decode, stretch
from strbench.methods import WordBatch
from strbench.store import Split, split_directory, write_split
from strbench.streams import Portion, Stream, Subset, parse_portions
from strbench.types import Sample


def split_of(directory: Path, n: int, *, name: str = "a", labelled: bool = True) -> Split:
    samples = []
    for i in range(n):
        out = io.BytesIO()
        Image.new("RGB", (8 + i % 5, 8), (i % 256, i // 256, ord(name))).save(out, "PNG")
        samples.append(Sample(f"{i}.png", out.getvalue(), f"{name}{i}" if labelled else None))
    return write_split(directory, samples, dataset=name, split="train", labels="standard")


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Split]:
    root = tmp_path_factory.mktemp("data")
    return {name: split_of(root / name, n, name=name) for name, n in (("a", 7), ("b", 5), ("c", 3))}


def stream(
    *portions: Portion, batch_size: int = 4, with_images: bool = True, **options: object
) -> Stream:
    feed = WordFeed(height=4, width=12, with_images=with_images)
    chosen = {"seed": 3, **options}
    return Stream(portions, feed=feed, batch_size=batch_size, **chosen)  # type: ignore[arg-type]


def same(one: WordBatch, two: WordBatch) -> bool:
    return one.labels == two.labels and all(
        torch.equal(a, b)
        for a, b in ((one.images, two.images), (one.aspect, two.aspect), (one.seeds, two.seeds))
    )


def test_batch_is_pure(splits: dict[str, Split]) -> None:
    one = stream(Portion((splits["a"], splits["b"]), 1.0))
    two = stream(Portion((splits["a"], splits["b"]), 1.0))
    ahead = list(two.iterate(0, 12, threads=3))
    assert len(ahead) == 12
    for step in (11, 0, 5, 5, 2):  # out of order, and again
        assert same(one.batch(step), ahead[step])
    assert not same(ahead[0], ahead[3])
    assert not same(
        stream(Portion((splits["a"],), 1.0), seed=4).batch(0),
        stream(Portion((splits["a"],), 1.0)).batch(0),
    )
    assert len({int(s) for batch in ahead for s in batch.seeds}) == 48
    assert [b.labels for b in one.iterate(7, 9)] == [ahead[7].labels, ahead[8].labels]


def test_content(splits: dict[str, Split]) -> None:
    split = splits["a"]
    batch = stream(Portion((split,), 1.0)).batch(0)
    for row, label in enumerate(batch.labels):
        pixels = decode(split.image(int(label[1:])))
        expected = torch.from_numpy(stretch(pixels, 4, 12)).permute(2, 0, 1)
        assert torch.equal(batch.images[row], expected)
        assert batch.aspect[row] == pytest.approx(pixels.shape[1] / pixels.shape[0])


def test_memory_changes_nothing(splits: dict[str, Split]) -> None:
    kept, bare = (stream(Portion((splits["a"],), 1.0), cache_bytes=size) for size in (1 << 20, 1))
    for step in (*range(6), *range(6)):
        assert same(kept.batch(step), bare.batch(step))


@pytest.mark.parametrize("world", [2, 3, 6])
def test_ranks_together_see_one_batch(splits: dict[str, Split], world: int) -> None:
    portions = (Portion((splits["a"], splits["b"]), 0.5), Portion((splits["c"],), 0.5))
    whole = stream(*portions, batch_size=6)
    parts = [stream(*portions, batch_size=6, rank=rank, world=world) for rank in range(world)]
    for step in range(9):
        shares = [part.batch(step) for part in parts]
        seeds = torch.cat([share.seeds for share in shares])
        assert sorted(seeds.tolist()) == sorted(whole.batch(step).seeds.tolist())
        drawn = Counter(label for share in shares for label in share.labels)
        assert drawn == Counter(whole.batch(step).labels)
        assert {len(share.labels) for share in shares} == {6 // world}


def test_every_sample_once_a_pass(splits: dict[str, Split]) -> None:
    source = stream(Portion((splits["a"], splits["b"]), 1.0), batch_size=4)
    assert source.n == 12
    for epoch in range(4):
        drawn = [x for step in range(3) for x in source.batch(3 * epoch + step).labels]
        assert Counter(drawn) == Counter([*splits["a"].labels, *splits["b"].labels])
    orders = {tuple(x for k in range(3) for x in source.batch(3 * e + k).labels) for e in range(4)}
    assert len(orders) == 4


def test_fractions(home: Path) -> None:
    for name, n in (("a", 7), ("b", 5), ("c", 3)):
        split_of(split_directory(f"{name}/train"), n, name=name)
    portions = parse_portions(["a/train", "c/train=0.25", "b/train"])
    assert [(tuple(s.name for s in p.splits), p.fraction) for p in portions] == [
        (("a/train", "b/train"), 0.75),
        (("c/train",), 0.25),
    ]
    for step in range(5):
        labels = stream(*portions, batch_size=8).batch(step).labels
        assert sum(label[0] == "c" for label in labels) == 2
    for typed, message in (
        (["a/train=0.5"], "add up to 0.5"),
        (["a/train=0.7", "b/train=0.7"], "add up to 1.4"),
        (["a/train=1", "b/train"], "add up to 1,|add up to 1;"),
        (["a/train=x"], "expected a fraction"),
        (["a/train=0"], "expected a fraction"),
        (["a/train=nan"], "expected a fraction"),
        (["z/train"], "not prepared"),
    ):
        with pytest.raises(StrbenchError, match=message):
            parse_portions(typed)


def test_first_samples_of_each_split(splits: dict[str, Split]) -> None:
    source = stream(
        Portion((splits["a"], splits["b"]), 1.0), batch_size=2, subset=Subset("first", 0.4)
    )
    assert source.n == 4
    drawn = {label for step in range(2) for label in source.batch(step).labels}
    assert drawn == {"a0", "a1", "b0", "b1"}
    assert stream(Portion((splits["c"],), 1.0), batch_size=1, subset=Subset("first", 0.01)).n == 1


def test_first_is_not_lost_to_rounding(tmp_path: Path) -> None:
    split = split_of(tmp_path / "s", 100)
    assert stream(Portion((split,), 1.0), subset=Subset("first", 0.29)).n == 29


def test_random_subsets_are_nested_and_drawn_by_the_seed(tmp_path: Path) -> None:
    split = split_of(tmp_path / "s", 100)

    def drawn(fraction: float, seed: int) -> set[str | None]:
        subset = Subset("random", fraction)
        source = stream(Portion((split,), 1.0), batch_size=5, seed=seed, subset=subset)
        labels = [label for step in range(source.n // 5) for label in source.batch(step).labels]
        assert len(set(labels)) == len(labels) == 100 * fraction
        return set(labels)

    assert drawn(0.1, 3) < drawn(0.5, 3)
    assert drawn(0.1, 3) != drawn(0.1, 4)
    assert drawn(0.1, 3) != {f"s{i}" for i in range(10)}


def test_unlabelled_images_come_behind_and_their_labels_are_withheld(
    splits: dict[str, Split],
) -> None:
    source = stream(
        Portion((splits["a"],), 1.0),
        batch_size=2,
        unlabelled=[Portion((splits["b"],), 1.0)],
        unlabelled_batch_size=4,
        subset=Subset("first", 0.01),
    )
    assert source.n == 1  # one labelled word; the subset leaves the unlabelled images alone
    batch = source.batch(0)
    assert batch.labels == ["a0", "a0", None, None, None, None]
    assert len({pixels.numpy().tobytes() for pixels in batch.images[2:]}) == 4


def test_words_of_a_text_file_come_without_images(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("one two\n three")
    (portion,) = parse_portions([str(path)])
    source = stream(portion, batch_size=3, with_images=False)
    batch = source.batch(0)
    assert batch.images.shape == (3, 3, 0, 0)
    assert sorted(filter(None, batch.labels)) == ["one", "three", "two"]
    with pytest.raises(StrbenchError, match="holds words and no images"):
        stream(portion, batch_size=3).batch(0)
    path.write_bytes(b"\xff")
    with pytest.raises(StrbenchError, match="cannot be read as UTF-8"):
        stream(parse_portions([str(path)])[0], batch_size=3, with_images=False)


def test_errors(splits: dict[str, Split], tmp_path: Path) -> None:
    whole = Portion((splits["a"],), 1.0)
    with pytest.raises(StrbenchError, match="cannot be shared by 3 ranks") as caught:
        stream(whole, batch_size=4, world=3)
    assert "batch_size=6" in caught.value.hint
    with pytest.raises(StrbenchError, match="no room"):
        stream(Portion((splits["a"],), 0.9), Portion((splits["b"],), 0.1), batch_size=2)
    bare = split_of(tmp_path / "bare", 4, labelled=False)
    assert stream(Portion((bare,), 1.0), with_labels=False).batch(0).labels == [None] * 4
    with pytest.raises(StrbenchError, match=r"a/train: \d.png has no label") as caught:
        stream(Portion((bare,), 1.0)).batch(0)
    assert caught.value.exit_code == DATA


def test_damaged_image_is_named(splits: dict[str, Split], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Split, "image", lambda self, index: b"\x89PNG")
    with pytest.raises(StrbenchError, match=r"c/train: \d.png: not a readable image"):
        list(stream(Portion((splits["c"],), 1.0)).iterate(0, 5))


def test_many_threads_over_many_passes(splits: dict[str, Split]) -> None:
    """A pass of three samples: threads ask for orders of different passes at once."""
    source = stream(Portion((splits["c"],), 1.0), batch_size=2)
    again = stream(Portion((splits["c"],), 1.0), batch_size=2)
    for step, batch in enumerate(source.iterate(0, 300, threads=8)):
        assert same(batch, again.batch(step))
    assert np.unique([len(label) for label in source.batch(299).labels]).tolist() == [2]
