"""SemiMTR: its strong view, windows, both losses, who teaches whom, and two ranks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, multiprocessing, nn

from strbench.baselines.parts.abinet_networks import Spelling, spelled_length, spelling_loss
from strbench.baselines.parts.views_severity import severity_1
from strbench.baselines.pretrain.abinet_language import ABINET_LANGUAGE
from strbench.baselines.recognition.abinet import ABINET, ABINET_VISION
from strbench.baselines.semisup.semimtr import (
    SEMIMTR,
    SEMIMTR_VISION,
    Config,
    SemiMTR,
    SemiMTRVision,
    VisionConfig,
)
from strbench.errors import StrbenchError
from strbench.methods import Method, WordBatch, inherit

SMOKE: Config = SEMIMTR.recipes["smoke"]
VISION: VisionConfig = SEMIMTR_VISION.recipes["smoke"]
LABELS: list[str | None] = ["see", None, "quick", None, None, "x" * 30, "12", None]


def word_batch(labels: list[str | None], *, seed: int = 0, size: int = 128) -> WordBatch:
    """Pictures with large and small structure, each its own."""
    n = len(labels)
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 4, 12, generator=generator)
    images = nn.functional.interpolate(coarse, (32, size), mode="bilinear")
    return WordBatch((images * 255).byte(), torch.full((n,), 4.0), labels, torch.arange(n))


def built(config: Config = SMOKE, *, seed: int = 0) -> SemiMTR:
    torch.manual_seed(seed)
    module = SEMIMTR.build(config)
    assert isinstance(module, SemiMTR)
    return module.train()


def built_vision(config: VisionConfig = VISION) -> SemiMTRVision:
    torch.manual_seed(0)
    module = SEMIMTR_VISION.build(config)
    assert isinstance(module, SemiMTRVision)
    return module.train()


def both(labels: list[str | None] = LABELS) -> dict[str, Tensor]:
    return SEMIMTR.views(SMOKE)(word_batch(labels))


def two(labels: list[str | None] = LABELS) -> dict[str, Tensor]:
    return SEMIMTR_VISION.views(VISION)(word_batch(labels))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_published_numbers_of_parameters() -> None:
    with torch.device("meta"):
        whole = SEMIMTR.build(Config())
        seeing = SEMIMTR_VISION.build(VisionConfig())
        averaged = SEMIMTR.build(Config(teacher_ema=0.9999))
    assert (count(whole), count(seeing)) == (36_738_703, 23_547_461)
    assert SEMIMTR.card.parameters["base"] == 36_738_703
    assert SEMIMTR_VISION.card.parameters["base"] == 23_547_461
    trainable = sum(p.numel() for p in averaged.parameters() if p.requires_grad)
    assert (count(averaged), trainable) == (2 * 36_738_703, 36_738_703)


def test_paper_recipes_hold_the_released_values() -> None:
    for method, batch, epochs in ((SEMIMTR_VISION, 304, 25), (SEMIMTR, 232, 5)):
        paper = method.recipes["paper"]
        assert paper.batch_size + paper.unlabelled_batch_size == batch
        assert paper.batch_size / batch == pytest.approx(0.3, abs=0.002)
        assert paper.steps * paper.unlabelled_batch_size == pytest.approx(epochs * 4.2e6, rel=0.01)
        assert (paper.optimiser, paper.lr, paper.weight_decay) == ("adam", 1e-4, 1e-4)
        assert (paper.schedule, paper.clip_norm, paper.lr_batch) == ("steps", 20.0, 0)
    assert SEMIMTR_VISION.recipes["paper"].milestones == (0.68, 0.88)
    assert SEMIMTR.recipes["paper"].milestones == (0.6, 0.8)
    assert SEMIMTR_VISION.recipes["paper"].temperature == 0.1
    assert SEMIMTR.recipes["paper"].teacher_ema == 0


@pytest.mark.parametrize("method", [SEMIMTR, SEMIMTR_VISION])
def test_recipes_build_and_cards_are_complete(method: Method) -> None:
    assert set(method.card.recipes) == set(method.recipes) >= {"paper", "small", "smoke"}
    with torch.device("meta"):
        for config in method.recipes.values():
            method.build(config)


# --- the strong view


def test_severity_1_belongs_to_the_seed_alone() -> None:
    words = word_batch([None] * 96)
    whole = severity_1(words)
    assert whole.min() >= 0
    assert whole.max() <= 1
    assert whole.isfinite().all()
    for rows in (slice(0, 40), slice(40, 96), slice(17, 18)):
        part = severity_1(WordBatch(words.images[rows], words.aspect[rows], [], words.seeds[rows]))
        assert torch.equal(whole[rows], part)
    assert torch.equal(whole, severity_1(words))
    other = severity_1(words, draw=1)
    assert ((whole - other).abs().amax((1, 2, 3)) > 0.02).float().mean() > 0.9


def test_half_of_the_images_are_inverted() -> None:
    n = 800
    black = WordBatch(
        torch.zeros(n, 3, 32, 32, dtype=torch.uint8), torch.ones(n), [None] * n, torch.arange(n)
    )
    bright = severity_1(black).amax(1).mean((1, 2)) > 0.2  # no other operation whitens black
    assert bright.float().mean().item() == pytest.approx(0.5, abs=0.06)


def test_severity_1_moves_nothing() -> None:
    words = word_batch([None] * 128)
    clean, strong = (x.mean(1) for x in (words.images.float() / 255, severity_1(words)))

    def likeness(shift: int) -> Tensor:
        moved = strong.roll(shift, 2)
        rows = [(x - x.mean((1, 2), keepdim=True)).flatten(1) for x in (clean, moved)]
        return nn.functional.cosine_similarity(*rows).abs()

    here = likeness(0)
    assert (here > 0.5).float().mean() > 0.8
    for shift in (-4, 4):
        assert (here > likeness(shift)).float().mean() > 0.85


# --- the first stage


def test_bands_of_rows_are_runs_of_the_flattened_map() -> None:
    module = built_vision(VisionConfig(size="micro"))
    maps = torch.randn(2, 3, 8, 32)
    rows = module.instances(maps).view(2, 5, 3)
    flat = maps.flatten(2)
    torch.testing.assert_close(rows[1, 0], flat[1, :, :52].mean(1))  # 256 / 5 = 51.2, rounded out
    torch.testing.assert_close(rows[1, 2], flat[1, :, 102:154].mean(1))
    columns = built_vision(VisionConfig(size="micro", windows="columns", instances=4))
    torch.testing.assert_close(
        columns.instances(maps).view(2, 4, 3)[0, 1], maps[0, :, :, 8:16].mean((1, 2))
    )
    with pytest.raises(StrbenchError, match="rows"):
        built_vision(replace(VISION, windows="bands"))  # type: ignore[arg-type]


def test_terms_of_the_first_stage() -> None:
    module, batch = built_vision(), two()
    loss = module.loss(batch)
    torch.testing.assert_close(loss["loss"], loss["supervised"] + loss["contrast"])
    assert 0.5 * math.log(79) < loss["contrast"].item() < 1.2 * math.log(79)  # 2 * 8 * 5 - 1
    assert loss["supervised"].item() == pytest.approx(2 * math.log(37), rel=0.2)
    by_view = [
        spelling_loss(module(batch[name]), batch["classes"], batch["lengths"])
        for name in ("first", "second")
    ]
    torch.testing.assert_close(loss["supervised"], sum(by_view))
    weighted = built_vision(replace(VISION, contrast_weight=0.5)).loss(batch)
    torch.testing.assert_close(
        weighted["loss"], loss["supervised"] + 0.5 * loss["contrast"], atol=1e-4, rtol=1e-4
    )


def test_contrast_trains_the_map_and_supervision_what_spells() -> None:
    module, batch = built_vision(), two()
    module.loss(batch)["contrast"].backward()
    grown = {n.split(".")[1] for n, p in module.named_parameters() if p.grad is not None}
    assert grown == {"resnet", "layers"}
    module = built_vision()
    module.loss(batch)["supervised"].backward()
    assert [n for n, p in module.named_parameters() if p.grad is None] == []


def test_labels_reach_supervision_alone() -> None:
    batch, other = two(), two([None if label is None else "other" for label in LABELS])
    first, second = (built_vision().loss(b) for b in (batch, other))
    assert first["contrast"] == second["contrast"]
    assert first["supervised"] != second["supervised"]


# --- the second stage


def test_terms_of_the_second_stage() -> None:
    loss = built().loss(both())
    torch.testing.assert_close(loss["loss"], loss["supervised"] + loss["consistency"])
    assert loss["supervised"].item() == pytest.approx(6 * math.log(37), rel=0.2)
    heavier = built(replace(SMOKE, consistency_weight=3.0)).loss(both())
    torch.testing.assert_close(
        heavier["loss"] - loss["loss"], 2 * loss["consistency"], atol=1e-3, rtol=1e-3
    )


def test_the_loss_of_given_spellings() -> None:
    """Every network teaches itself: its last iteration is the target of all of the student's."""
    module, batch = built(), both()
    generator = torch.Generator().manual_seed(4)
    weak, strong = (
        Spelling(*(
            [torch.randn(8, 26, 37, generator=generator, requires_grad=True) for _ in range(k)]
            if k > 1
            else torch.randn(8, 26, 37, generator=generator, requires_grad=True)
            for k in (1, 3, 3)
        ))
        for _ in range(2)
    )  # fmt: skip
    weak.vision.data[:, :, 0] -= 9  # no end: 26 places
    weak.vision.data[0, 0, 0] += 99  # an end at once: read as length 2
    module.spell = lambda images, *_: weak if images is batch["weak"] else strong  # type: ignore[method-assign]
    loss = module.loss(batch)

    def cost(logits: Tensor, lesson: Tensor, least: int = 1) -> float:
        total = places = 0.0
        for b, length in enumerate(spelled_length(lesson).clamp(min=least).tolist()):
            for t in range(length):
                total -= float(logits[b, t].detach().log_softmax(0)[lesson[b, t].argmax()])
                places += 1
        return total / places

    expected = cost(strong.vision, weak.vision, 2)
    for name in ("language", "fusion"):
        lessons, learned = getattr(weak, name), getattr(strong, name)
        expected += sum(cost(logits, lessons[-1]) for logits in learned)  # summed, as released
    assert loss["consistency"].item() == pytest.approx(expected, rel=1e-4)
    supervised = sum(
        spelling_loss(each, batch["classes"], batch["lengths"])
        for s in (weak, strong)
        for each in s
    )
    torch.testing.assert_close(loss["supervised"], supervised)
    # the teacher learns from labels alone
    loss["consistency"].backward(retain_graph=True)
    assert weak.vision.grad is None
    assert strong.vision.grad is not None
    assert strong.vision.grad[1].any()  # an unlabelled image
    loss["supervised"].backward()
    labelled = torch.tensor([label is not None and len(label) < 26 for label in LABELS])
    assert torch.equal(weak.vision.grad.flatten(1).any(1), labelled)  # type: ignore[union-attr]


def test_a_batch_without_labels_costs_finite_unsupervised_terms() -> None:
    nobody: list[str | None] = [None] * 4
    for module, batch in ((built(), both(nobody)), (built_vision(), two(nobody))):
        loss = module.loss(batch)
        assert loss["supervised"].item() == 0
        assert all(value.isfinite() for value in loss.values())
        assert loss["loss"] > 0
        loss["loss"].backward()
        gradients = [p.grad for p in module.parameters()]
        assert all(g is not None and g.isfinite().all() for g in gradients)


def test_every_parameter_takes_part() -> None:
    for config in (SMOKE, replace(SMOKE, teacher_ema=0.9)):
        module = built(config)
        module.before_step(0.0)
        module.loss(both())["loss"].backward()
        missing = [n for n, p in module.named_parameters() if p.requires_grad and p.grad is None]
        assert missing == []


# --- the average teacher


def test_the_average_teacher_starts_as_the_student_and_follows() -> None:
    module = built(replace(SMOKE, teacher_ema=0.9))
    with torch.no_grad():  # as if other weights had been loaded after building
        for parameter in module.vision.parameters():
            parameter.fill_(1.0)
    module.before_step(0.0)
    kept = module.teacher["vision"].classifier.weight
    assert (kept == 1).all()
    with torch.no_grad():
        for parameter in module.vision.parameters():
            parameter.fill_(0.0)
    module.before_step(0.1)
    torch.testing.assert_close(kept, torch.full_like(kept, 0.9))
    module.before_step(0.2)
    torch.testing.assert_close(kept, torch.full_like(kept, 0.81))
    again = built(replace(SMOKE, teacher_ema=0.9), seed=1)
    again.load_state_dict(module.state_dict())  # resumed: nothing is copied again
    again.before_step(0.3)
    torch.testing.assert_close(
        again.teacher["vision"].classifier.weight, torch.full_like(kept, 0.729)
    )


def test_the_average_teacher_takes_no_gradient_and_is_not_kept() -> None:
    module = built(replace(SMOKE, teacher_ema=0.9))
    module.before_step(0.0)
    module.loss(both())["loss"].backward()
    assert all(p.grad is None and not p.requires_grad for p in module.teacher.parameters())
    exported = SEMIMTR.export(module)
    assert set(exported) == set(built().state_dict())
    built(replace(SMOKE, teacher_ema=0.9)).load_state_dict(exported)  # read without its teacher
    del exported["fusion.gate.bias"]
    with pytest.raises(RuntimeError, match="fusion"):
        built(replace(SMOKE, teacher_ema=0.9)).load_state_dict(exported)
    statistics = module.teacher["vision"].resnet.stem_norm.running_mean
    assert statistics.any()
    assert not torch.equal(statistics, module.vision.resnet.stem_norm.running_mean)


# --- from stage to stage


def test_the_stages_follow_each_other() -> None:
    seeing = built_vision()
    torch.manual_seed(3)
    saying = ABINET_LANGUAGE.build(ABINET_LANGUAGE.recipes["smoke"])
    parents = {"v": SEMIMTR_VISION.export(seeing), "l": ABINET_LANGUAGE.export(saying)}
    for config in (SMOKE, replace(SMOKE, teacher_ema=0.9)):
        module = built(config)
        fresh = inherit(module, parents, fresh=SEMIMTR.fresh or ())
        assert {n.split(".")[0] for n in fresh} <= {"fusion", "teacher", "updates"}
    assert torch.equal(module.vision.resnet.stem.weight, seeing.vision.resnet.stem.weight)
    whole = ABINET.build(ABINET.recipes["smoke"])
    assert inherit(whole, {"s": SEMIMTR.export(module)}, fresh=()) == []
    alone = ABINET_VISION.build(ABINET_VISION.recipes["smoke"])
    assert inherit(alone, {"v": parents["v"]}, fresh=ABINET_VISION.fresh or ()) == []


def test_both_stages_read() -> None:
    images = torch.rand(7, 3, 32, 128)
    for method, module in ((SEMIMTR, built()), (SEMIMTR_VISION, built_vision())):
        assert method.reader is not None
        config = method.recipes["smoke"]
        read = method.reader(module, config)
        words = read(images)
        assert module.training
        model = ABINET if method is SEMIMTR else ABINET_VISION
        other = model.build(model.recipes["smoke"])
        other.load_state_dict(method.export(module))
        assert model.reader is not None
        assert model.reader(other, model.recipes["smoke"])(images) == words
        alone = [read(image[None])[0] for image in images]
        assert [text for text, _ in alone] == [text for text, _ in words]


# --- two ranks


def _losses_and_gradients(rows: slice) -> list[Tensor]:
    out: list[Tensor] = []
    for module, batch in ((built(), both()), (built_vision(), two())):
        part = {name: tensor[rows] for name, tensor in batch.items()}
        loss = module.loss(part)["loss"]
        loss.backward()
        gradients = [p.grad.flatten() for p in module.parameters() if p.grad is not None]
        out += [loss.detach(), torch.cat(gradients)]
    return out


def _on_a_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    torch.save(_losses_and_gradients(slice(4 * rank, 4 * rank + 4)), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_ranks_equal_one_process(tmp_path: Path) -> None:
    start: Callable[..., object] = multiprocessing.spawn
    start(_on_a_rank, args=(str(tmp_path),), nprocs=2)  # two labels on the first, one on the second
    first, second = (torch.load(tmp_path / f"{r}.pt", weights_only=True) for r in range(2))
    for one, other, alone in zip(first, second, _losses_and_gradients(slice(8)), strict=True):
        difference = ((one + other) / 2 - alone).norm() / alone.norm()
        assert difference < 1e-3
