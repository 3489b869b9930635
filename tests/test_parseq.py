"""PARSeq: orders and masks, counts, the loss over permutations, reading, and its RandAugment."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, multiprocessing, nn

from strbench.baselines.parts import views_parseq
from strbench.baselines.parts.permutations import reading_orders, visible_characters
from strbench.baselines.recognition.parseq import MAX_LABEL, PARSEQ, Config, PARSeq
from strbench.errors import StrbenchError
from strbench.methods import WordBatch, inherit
from strbench.text import CHARSETS

SMOKE: Config = PARSEQ.recipes["smoke"]
WORDS = ["see", "the", "Quick", "brown", "fox", "12", "a", "programs"]


def built(config: Config = SMOKE, *, seed: int = 0) -> PARSeq:
    torch.manual_seed(seed)
    return cast(PARSeq, PARSEQ.build(config))


def word_batch(labels: list[str | None], *, seed: int = 0) -> WordBatch:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(len(labels), 3, 4, 12, generator=generator)
    images = nn.functional.interpolate(coarse, (32, 128), mode="bilinear")
    return WordBatch(
        (images * 255).byte(),
        torch.full((len(labels),), 4.0),
        labels,
        torch.arange(len(labels)) + 100 * seed,
    )


def viewed(labels: list[str | None], config: Config = SMOKE) -> dict[str, Tensor]:
    return PARSEQ.views(config)(word_batch(labels))


def count(*parts: nn.Module | nn.Parameter) -> int:
    return sum(
        part.numel() if isinstance(part, nn.Parameter) else count(*part.parameters())
        for part in parts
    )


# --- networks


@pytest.mark.parametrize(("size", "total"), [("small", 23_832_671), ("tiny", 6_018_143)])
def test_published_numbers_of_parameters(size: str, total: int) -> None:
    with torch.device("meta"):
        module = built(replace(PARSEQ.recipes["paper"], size=size))
    assert count(module) == total == PARSEQ.card.parameters[size]


def test_parts_of_the_small_size() -> None:
    with torch.device("meta"):
        module = built(PARSEQ.recipes["paper"])
    assert count(module.encoder) == 21_380_736
    assert count(module.decoder) == 2_368_128
    assert count(module.head) == 36_575
    assert count(module.embedding) == 37_248
    assert module.encoder.positions.shape == (1, 128, 384)
    assert module.queries.shape == (1, 26, 384)


def test_paper_recipe_holds_the_official_values() -> None:
    paper = PARSEQ.recipes["paper"]
    assert paper.lr == pytest.approx(7e-4 * 384 / 256 * math.sqrt(2), rel=1e-3)
    assert (paper.batch_size, paper.epochs, paper.rise, paper.clip_norm) == (768, 20, 0.075, 20)
    assert (paper.optimiser, paper.schedule, paper.weight_decay) == ("adamw", "onecycle", 0)
    assert (paper.orders, paper.refinements, paper.dropout) == (6, 1, 0.1)
    assert paper.augmentation == "randaugment"


@pytest.mark.parametrize("recipe", PARSEQ.recipes)
def test_recipes_build(recipe: str) -> None:
    with torch.device("meta"):
        assert count(PARSEQ.build(PARSEQ.recipes[recipe])) > 0
    assert recipe in PARSEQ.card.recipes


@pytest.mark.parametrize(("charset", "classes"), [("94", 95), ("36", 37)])
def test_logits_have_26_places(charset: str, classes: int) -> None:
    module = built(replace(SMOKE, charset=charset)).eval()
    assert module(torch.randn(2, 3, 32, 128)).shape == (2, 26, classes)


@pytest.mark.parametrize(
    "changes", [{"size": "base"}, {"charset": "95"}, {"orders": 5}, {"orders": 0}, {"width": 100}]
)
def test_configs_that_cannot_be_built(changes: dict[str, object]) -> None:
    with pytest.raises(StrbenchError):
        PARSEQ.build(replace(PARSEQ.recipes["paper"], **changes))  # type: ignore[arg-type]


def test_unknown_augmentation() -> None:
    with pytest.raises(StrbenchError, match="randaugment"):
        PARSEQ.views(replace(SMOKE, augmentation="rand"))  # type: ignore[arg-type]


# --- orders


def test_orders_are_permutations_in_mirrored_pairs() -> None:
    ranks = reading_orders(torch.arange(50), slots=7, orders=6)
    assert ranks.shape == (50, 6, 8)
    assert torch.equal(ranks.sort(-1).values, torch.arange(8).expand(50, 6, 8))
    assert ranks[0, 0].tolist() == list(range(8))
    assert ranks[0, 1].tolist() == list(range(7, -1, -1))
    for k in (2, 4):
        assert torch.equal(ranks[:, k, :7] + ranks[:, k + 1, :7], torch.full((50, 7), 6))
        assert (ranks[:, k : k + 2, 7] == 7).all()
    assert not torch.equal(ranks[:, 2], ranks[:, 4])


def test_random_orders_are_uniform_and_stay_so_when_cut() -> None:
    ranks = reading_orders(torch.arange(6000), slots=25, orders=4)[:, 2, :3]
    order = ranks.argsort(1).argsort(1)  # the order among the first three slots
    numbers = (order * torch.tensor([9, 3, 1])).sum(1).unique(return_counts=True)[1]
    assert len(numbers) == 6
    assert (numbers - 1000).abs().max() < 150  # five standard deviations


def test_masks_against_the_definition() -> None:
    lengths = torch.tensor([3, 5, 0])
    ranks = reading_orders(torch.arange(3), slots=5, orders=4)
    seen = visible_characters(ranks, lengths)
    assert seen.shape == (3, 4, 6, 6)
    for b in range(3):
        for k in range(4):
            for t in range(6):
                want = [True] + [
                    bool(s < lengths[b] and ranks[b, k, s] < ranks[b, k, t]) for s in range(5)
                ]
                assert seen[b, k, t].tolist() == want
    # the end is predicted from the whole word in the first order, from nothing in the second
    assert seen[0, 0, 3].tolist() == [True] * 4 + [False] * 2
    assert seen[0, 1, 3].tolist() == [True] + [False] * 5


def test_a_prediction_uses_the_visible_characters_and_no_others() -> None:
    module = built().eval()
    ranks = reading_orders(torch.tensor([3]), slots=4, orders=4)
    seen = visible_characters(ranks, torch.tensor([4]))
    image = module.decoder.to_image.keep(torch.randn(1, 32, 64))
    tokens = torch.tensor([[module.bos, 10, 11, 12, 13]])
    before = module.decode(tokens, image, seen)
    for slot in range(4):
        changed = tokens.clone()
        changed[0, slot + 1] = 20
        moved = (module.decode(changed, image, seen) - before).abs().amax(-1) > 1e-6
        assert torch.equal(moved, seen[..., slot + 1])


# --- the loss


def test_initial_loss_is_that_of_guessing() -> None:
    module = built(replace(SMOKE, charset="94"))
    loss = module.loss(viewed(cast(list[str | None], WORDS), replace(SMOKE, charset="94")))
    assert loss["loss"].item() == pytest.approx(math.log(95), rel=0.05)
    assert loss["unusable"] == 0


def test_loss_is_the_mean_over_the_tokens_of_all_orders() -> None:
    module = built().eval()
    labels: list[str | None] = ["ab1", "x", "seven77"]
    batch = viewed(labels)
    image = module.decoder.to_image.keep(module.encoder(batch["images"]))
    costs = []
    for row, label in enumerate(cast(list[str], labels)):
        classes = [*CHARSETS["36"].encode(label), module.end]
        one = type(image)(image.keys[row : row + 1], image.values[row : row + 1])
        for k in range(6):
            for slot, wanted in enumerate(classes):
                if wanted == module.end and k >= 2:
                    continue
                rank = batch["orders"][row, k]
                known = [s for s in range(len(label)) if rank[s] < rank[slot]]
                tokens = torch.tensor([[module.bos, *classes[:-1]]])
                seen = torch.zeros(1, 1, slot + 1, len(label) + 1, dtype=torch.bool)
                seen[..., [0, *(s + 1 for s in known)]] = True
                logits = module.decode(tokens, one, seen)[0, 0, slot]
                costs.append(-logits.log_softmax(-1)[wanted])
    assert len(costs) == 6 * (3 + 1 + 7) + 2 * 3
    torch.testing.assert_close(module.loss(batch)["loss"], torch.stack(costs).mean())


def test_words_without_a_usable_label_cost_nothing() -> None:
    module = built().eval()
    labels = ["word", None, "", "-!", "x" * 26, "two"]
    batch = viewed(labels)
    assert batch["lengths"].tolist() == [4, 0, 0, 0, 0, 3]
    loss = module.loss(batch)
    assert loss["unusable"] == pytest.approx(4 / 6)
    alone = module.loss({name: tensor[[0, 5]] for name, tensor in batch.items()})
    torch.testing.assert_close(loss["loss"], alone["loss"])
    module.loss({name: tensor[1:5] for name, tensor in batch.items()})["loss"].backward()
    assert all(p.grad is not None and not p.grad.any() for p in module.parameters())


def test_labels_are_brought_to_the_charset() -> None:
    batch = viewed(["Ab-9", "y" * 25])
    assert batch["lengths"].tolist() == [3, MAX_LABEL]
    assert batch["targets"][0, :3].tolist() == CHARSETS["36"].encode("ab9")


def test_the_order_of_a_batch_changes_nothing() -> None:
    config = replace(SMOKE, augmentation="randaugment")
    words = word_batch(cast(list[str | None], WORDS))
    order = torch.randperm(len(WORDS))
    view = PARSEQ.views(config)
    whole = view(words)
    mixed = view(
        WordBatch(
            words.images[order],
            words.aspect[order],
            [WORDS[i] for i in order],
            words.seeds[order],
        )
    )
    for name, tensor in whole.items():
        assert torch.equal(tensor[order], mixed[name]), name
    module = built().eval()
    torch.testing.assert_close(module.loss(whole)["loss"], module.loss(mixed)["loss"])
    other = view(words._replace(seeds=words.seeds + 1000))
    assert not torch.equal(other["orders"], whole["orders"])


def test_every_parameter_gets_a_gradient() -> None:
    module = built()
    module.loss(viewed(cast(list[str | None], ["y" * 25, "end"])))["loss"].backward()
    assert [n for n, p in module.named_parameters() if p.grad is None or not p.grad.any()] == []
    # padding is never a token, so its embedding and BOS's alone may rest
    assert module.embedding.weight.grad is not None
    assert not module.embedding.weight.grad[-1].any()
    assert module.embedding.weight.grad[module.bos].any()


def test_a_probe_trains_the_decoder_alone() -> None:
    module = built(replace(SMOKE, probe=True, dropout=0.1)).train()
    assert not module.encoder.training
    assert module.decoder.training
    module.loss(viewed(["word", "two"]))["loss"].backward()
    moved = {name.split(".")[0] for name, p in module.named_parameters() if p.grad is not None}
    assert moved == {"decoder", "head", "embedding", "queries"}


def _share_of_a_rank(rank: int, folder: str) -> None:
    store = f"file://{folder}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    module = built().eval()
    rows = slice(0, 3) if rank == 0 else slice(3, 6)
    batch = {name: tensor[rows] for name, tensor in viewed(_UNEVEN).items()}
    loss = module.loss(batch)["loss"]
    loss.backward()
    torch.save(
        (loss.detach(), module.head.weight.grad, module.encoder.positions.grad),
        Path(folder) / f"{rank}.pt",
    )
    torch.distributed.destroy_process_group()


_UNEVEN: list[str | None] = ["a", "to", None, "considerable", "longer", "words"]


def test_two_ranks_have_the_loss_of_one_process(tmp_path: Path) -> None:
    start: Callable[..., object] = multiprocessing.spawn
    start(_share_of_a_rank, args=(str(tmp_path),), nprocs=2)
    shares = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    module = built().eval()
    loss = module.loss(viewed(_UNEVEN))["loss"]
    loss.backward()
    whole = (loss.detach(), module.head.weight.grad, module.encoder.positions.grad)
    for first, second, want in zip(*shares, whole, strict=True):
        torch.testing.assert_close((first + second) / 2, want)


# --- reading


def test_reading_left_to_right_agrees_with_the_teacher_forced_pass() -> None:
    config = replace(SMOKE, refinements=0)
    module = built(config).eval()
    images = torch.randn(3, 3, 32, 128)
    with torch.no_grad():
        module.head.weight.mul_(20)  # different characters in different places
        free = module(images)  # (B, T, classes)
        tokens = torch.cat([torch.full((3, 1), module.bos), free.argmax(-1)[:, :-1]], 1)
        seen = torch.ones(free.shape[1], free.shape[1], dtype=torch.bool).tril()
        image = module.decoder.to_image.keep(module.encoder(images))
        forced = module.decode(tokens, image, seen.expand(3, 1, -1, -1))[:, 0]
    torch.testing.assert_close(free, forced, atol=1e-4, rtol=1e-4)
    assert len(free.argmax(-1).unique()) > 2


def test_refinement_sees_all_characters_but_its_own_up_to_the_end() -> None:
    module, plain = built().eval(), built(replace(SMOKE, refinements=0)).eval()
    images = torch.randn(2, 3, 32, 128)
    with torch.no_grad():
        for model in (module, plain):
            model.head.weight.mul_(20)
        first = plain(images).argmax(-1)
        refined = module(images)
        image = module.decoder.to_image.keep(module.encoder(images))
        for row in range(2):
            word = first[row].tolist()
            word = word[: word.index(module.end)] if module.end in word else word[:-1]
            one = type(image)(image.keys[row : row + 1], image.values[row : row + 1])
            for slot in (0, 1, len(word) - 1):
                seen = torch.ones(1, 1, 26, len(word) + 1, dtype=torch.bool)
                if slot < len(word):
                    seen[..., slot + 1] = False
                logits = module.decode(torch.tensor([[module.bos, *word]]), one, seen)[0, 0, slot]
                torch.testing.assert_close(refined[row, slot], logits, atol=1e-4, rtol=1e-4)


def test_reading_stops_when_every_word_has_ended() -> None:
    module = built(replace(SMOKE, refinements=0)).eval()
    with torch.no_grad():
        module.head.bias[module.end] = 50
    assert module(torch.randn(3, 3, 32, 128)).shape == (3, 1, 37)
    assert PARSEQ.reader is not None
    assert PARSEQ.reader(module, SMOKE)(torch.rand(1, 3, 32, 128)) == [("", pytest.approx(1.0))]


def test_a_word_without_an_end_has_26_characters_read() -> None:
    module = built()
    with torch.no_grad():
        module.head.bias[CHARSETS["36"].encode("k")[0]] = 50
    assert PARSEQ.reader is not None
    ((text, confidence),) = PARSEQ.reader(module, SMOKE)(torch.rand(1, 3, 32, 128))
    assert text == "k" * 26
    assert confidence == pytest.approx(1.0)


def test_a_doubt_before_the_refinement_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    module = built()
    sure = torch.zeros(2, 1, 37)
    sure[:, 0, module.end] = 9.0
    torn = sure.clone()
    torn[1, 0, 3] = 9.0 - 0.01
    asked = []

    def passes(images: Tensor) -> list[Tensor]:
        asked.append(len(images))
        return [torn[: len(images)], sure[: len(images)]]

    monkeypatch.setattr(module, "passes", passes)
    assert PARSEQ.reader is not None
    with torch.autocast("cpu", torch.bfloat16):
        PARSEQ.reader(module, SMOKE)(torch.rand(2, 3, 32, 128))
    assert asked == [2, 1]


def test_it_overfits_words_and_reads_them_back() -> None:
    module = built(replace(SMOKE, dropout=0.0)).train()
    words = word_batch(cast(list[str | None], WORDS))
    view = PARSEQ.views(SMOKE)
    optimiser = torch.optim.AdamW(module.parameters(), lr=3e-3, weight_decay=0.0)
    for step in range(200):
        loss = module.loss(view(words._replace(seeds=words.seeds + 50 * step)))
        optimiser.zero_grad()
        loss["loss"].backward()
        optimiser.step()
        if loss["accuracy"] == 1 and loss["loss"] < 0.15:
            break
    assert PARSEQ.reader is not None
    read = PARSEQ.reader(module, SMOKE)
    images = words.images.float() / 255
    readings = read(images)
    assert [text for text, _ in readings] == [word.lower() for word in WORDS]
    assert all(0.3 < confidence <= 1 for _, confidence in readings)
    assert module.training
    seven = read(images[:7])
    for row in range(7):
        text, confidence = read(images[row : row + 1])[0]
        assert text == seven[row][0]
        assert confidence == pytest.approx(seven[row][1], rel=1e-4)


def test_a_run_starts_from_another() -> None:
    module, other = built(), built(seed=1)
    assert PARSEQ.fresh is not None
    assert inherit(other, {"run": PARSEQ.export(module)}, fresh=PARSEQ.fresh) == []
    images = torch.randn(2, 3, 32, 128)
    assert torch.equal(module.eval()(images), other.eval()(images))


# --- RandAugment


def pictures(n: int) -> WordBatch:
    """Smooth pictures that no operation leaves as they are."""
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(n, 3, 5, 9, generator=generator)
    images = nn.functional.interpolate(coarse, (32, 128), mode="bicubic").clamp(0, 1)
    images = 0.15 + 0.75 * images  # neither black nor white
    return WordBatch((images * 255).byte(), torch.full((n,), 4.0), [None] * n, torch.arange(n))


def parameters_of(
    batch: WordBatch, sign: float
) -> list[tuple[Callable[..., Tensor], list[Tensor]]]:
    n, degrees = len(batch.seeds), torch.full((len(batch.seeds),), 15 * sign).double()
    signs = torch.full((n, views_parseq.OPERATIONS), sign).double()
    operations = views_parseq.operations(batch.seeds, signs, degrees, batch.aspect.double())
    return [(change, list(parameters)) for change, *parameters in operations]


def test_three_operations_of_which_each_acts_with_even_chance() -> None:
    batch = pictures(400)
    out = views_parseq.randaugment(batch)
    assert out.shape == batch.images.shape
    assert out.min() >= 0
    assert out.max() <= 1
    same = (out == batch.images / 255).flatten(1).all(1).float().mean()
    assert same.item() == pytest.approx(1 / 8, abs=0.06)
    assert not torch.equal(out, views_parseq.randaugment(batch, draw=1))


def test_a_view_is_the_images_own() -> None:
    batch = pictures(40)
    part = WordBatch(*(field[25:31] for field in batch))
    whole = views_parseq.randaugment(batch)
    assert torch.equal(whole[25:31], views_parseq.randaugment(part))


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_warps_and_levels_are_those_of_pillow(sign: float) -> None:
    batch = pictures(3)
    operations = parameters_of(batch, sign)
    gray = (128, 128, 128)

    def affine(*numbers: float) -> Callable[[Image.Image], Image.Image]:
        return lambda image: image.transform(
            image.size,
            Image.Transform.AFFINE,
            numbers,
            resample=Image.Resampling.BILINEAR,
            fillcolor=gray,
        )

    expected: dict[int, Callable[[Image.Image], Image.Image]] = {
        2: lambda image: image.point(lambda v: 255 - v),
        3: lambda image: image.rotate(
            15 * sign, resample=Image.Resampling.BILINEAR, expand=True, fillcolor=gray
        ).resize((128, 32), Image.Resampling.BICUBIC),
        4: lambda image: image.point(lambda v: v & 0b11000000),
        5: lambda image: image.point(lambda v: v if v < 128 else 255 - v),
        6: lambda image: image.point(lambda v: min(255, v + 55) if v < 128 else v),
        10: affine(1, 0.45 * sign, 0, 0, 1, 0),
        11: affine(1, 0, 0, 0.1 * sign, 1, 0),
        12: affine(1, 0, 0.05 * sign * 128, 0, 1, 0),
        13: affine(1, 0, 0, 0, 1, 0.15 * sign * 32),
    }
    for index, reference in expected.items():
        change, parameters = operations[index]
        mine = change(batch.images.float() / 255, *parameters) * 255
        theirs = torch.stack(
            [
                torch.from_numpy(np.array(reference(Image.fromarray(image.numpy()))))
                for image in batch.images.permute(0, 2, 3, 1)
            ]
        ).permute(0, 3, 1, 2)
        difference = (mine - theirs).abs()
        # gray borders fall between pixels differently; elsewhere less than a level
        most = {3: 3.0}.get(index, 1.0 if index >= 10 else 1e-3)
        assert difference.mean() < most, index


def test_poisson_noise_is_signed_gray_and_weaker_on_narrow_crops() -> None:
    batch = pictures(60)._replace(images=torch.full((60, 3, 32, 128), 128, dtype=torch.uint8))
    aspect = torch.tensor([4.0] * 30 + [1.0] * 30)
    operations = parameters_of(batch._replace(aspect=aspect), 1.0)
    change, parameters = operations[15]
    noise = (change(batch.images.float() / 255, *parameters) - 128 / 255) * 255
    torch.testing.assert_close(noise[:, 0], noise[:, 1])
    for part, mean in ((noise[:30], 21.0), (noise[30:], 7.0)):
        assert part.mean().abs() < 0.3
        assert part.abs().mean().item() == pytest.approx(mean, rel=0.02)
        assert part.abs().var().item() == pytest.approx(mean, rel=0.05)
    assert torch.equal(parameters[0], torch.tensor([21.0] * 30 + [7.0] * 30).double())
