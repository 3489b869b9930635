"""Character-level consistency and FixMatch: readings, confidences, losses, gradients, ranks; the views."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from strbench.baselines.parts.coral import coral
from strbench.baselines.parts.trba_recognizer import STEPS, AttentionRecognizer, layout_of
from strbench.baselines.parts.views_rand import zheng_strong, zheng_weak
from strbench.baselines.semisup.character_consistency import (
    CHARACTER_CONSISTENCY,
    FIXMATCH,
    CharacterConsistency,
    Config,
    spelled,
)
from strbench.errors import StrbenchError
from strbench.methods import Method, WordBatch, inherit
from strbench.train import Objective

BOTH: list[str | None] = ["word", None, "two", "three", None, None]
METHODS = {"character-consistency": CHARACTER_CONSISTENCY, "fixmatch": FIXMATCH}
every_method = pytest.mark.parametrize("name", METHODS)


def config_of(method: Method = CHARACTER_CONSISTENCY, **changes: object) -> Config:
    """The published recipe, narrow."""
    options = {"size": "micro", "width": 64, **changes}
    config: Config = replace(method.recipes["paper"], **options)
    return config


def batch_of(labels: list[str | None] = BOTH, seed: int = 0, width: int = 64) -> WordBatch:
    """Soft pictures, each its own."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(len(labels), 3, 4, 8, generator=generator)
    images = nn.functional.interpolate(coarse, (32, width), mode="bilinear") * 255
    rows = torch.arange(len(labels))
    return WordBatch(images.to(torch.uint8), 1.0 + rows % 6, labels, rows + 1000 * seed)


def built(config: Config, *, bold: bool = False) -> CharacterConsistency:
    """A started module; a bold one reads words of many lengths, surer of some than of others."""
    torch.manual_seed(0)
    module = CharacterConsistency(config)
    if bold:
        with torch.no_grad():
            assert module.decoder.embedding is not None
            module.decoder.generator.weight.mul_(6)
            module.decoder.generator.bias.normal_()
            module.decoder.embedding.weight.mul_(3)
    module.before_step(0.0)
    return module.train()


def views_of(config: Config, labels: list[str | None] = BOTH) -> dict[str, Tensor]:
    return CHARACTER_CONSISTENCY.views(config)(batch_of(labels))


def confidences(module: CharacterConsistency, views: dict[str, Tensor]) -> Tensor:
    """The target's confidences after the labelled pass, from a copy."""
    target = AttentionRecognizer(module.config).eval()
    target.load_state_dict(module.target.state_dict())
    online = AttentionRecognizer(module.config).train()
    online.load_state_dict(CHARACTER_CONSISTENCY.export(module))
    with torch.no_grad():
        if len(views["images"]):
            online(views["images"], views["tokens"][:, :-1])
        for kept, new in zip(target.buffers(), online.buffers(), strict=True):
            kept.copy_(new)
        reading = spelled(target(views["weak"]).logits, module.layout)
    hard = module.config.criterion == "cross-entropy"
    return reading.least() if hard else reading.confidences()


def between(values: Tensor, lower: int) -> float:
    """A threshold that ``lower`` of the values lie below."""
    low, high = values.sort().values[[lower - 1, lower]].double().clamp(min=1e-38).log()
    assert high - low > 1e-3
    return math.exp((low + high) / 2)


# --- the recognizer


def test_parameters_as_in_the_official_model() -> None:
    paper = CHARACTER_CONSISTENCY.recipes["paper"]
    with torch.device("meta"):
        module = CHARACTER_CONSISTENCY.build(paper)
    assert isinstance(module, CharacterConsistency)
    assert sum(p.numel() for p in module.projection.parameters()) == 33_216
    trainable = sum(p.numel() for p in module.parameters() if p.requires_grad)
    counts = CHARACTER_CONSISTENCY.card.parameters
    assert trainable == counts["full trainable"] == 49_854_379
    assert sum(p.numel() for p in module.target.parameters()) == 49_821_163
    assert sum(p.numel() for p in module.parameters()) == counts["full"]
    assert {n: r.criterion for n, r in FIXMATCH.recipes.items()} == dict.fromkeys(
        FIXMATCH.recipes, "cross-entropy"
    )
    with pytest.raises(StrbenchError, match="attention"):
        CHARACTER_CONSISTENCY.build(config_of(decoder="ctc", tokens="str-fewer-labels"))


def logits_of(*readings: list[int], sure: float = 20.0) -> Tensor:
    rows = [reading + [reading[-1]] * (STEPS - len(reading)) for reading in readings]
    return sure * nn.functional.one_hot(torch.tensor(rows), 99).float()


def test_a_reading_ends_at_the_first_class_that_is_no_character() -> None:
    layout = layout_of(config_of())
    padding, unknown, go, end, space = range(5)
    a, b = 5, 6
    out = spelled(
        logits_of(
            [a, b, end, a, b], [a, space, b], [unknown, a], [end], [a, padding, a], [a, b, a]
        ),
        layout,
    )
    assert out.tokens.shape == (6, STEPS + 1)
    assert out.tokens[:, 0].eq(go).all()
    assert out.tokens[:, 1:5].tolist() == [
        [a, b, end, padding],
        [a, end, padding, padding],
        [end, padding, padding, padding],
        [end, padding, padding, padding],
        [a, end, padding, padding],
        [a, b, a, a],
    ]
    assert out.within.sum(1).tolist() == [3, 2, 1, 1, 2, STEPS]
    assert out.tokens[5, -1] == end  # no end: the last step is taken for it
    assert out.characters(layout).sum(1).tolist() == [2, 1, 0, 0, 1, STEPS - 1]


def test_confidence_is_a_product_or_the_least() -> None:
    layout = layout_of(config_of())
    probabilities = torch.full((1, STEPS, 99), 1e-9)
    for step, (what, share) in enumerate([(7, 0.9), (8, 0.5), (3, 0.8), (9, 0.1)]):
        probabilities[0, step, what] = share
        probabilities[0, step, 50] = 0.99 - share if share > 0.4 else 0.01
    out = spelled(probabilities.log(), layout)
    shares = [0.9 / 0.99, 0.5 / 0.99, 0.8 / 0.99]
    assert out.within[0].sum() == 3
    assert out.confidences().item() == pytest.approx(math.prod(shares), rel=1e-5)
    assert out.least().item() == pytest.approx(min(shares), rel=1e-5)


def test_it_begins_at_the_entropy_of_the_classes_and_keeps_nothing() -> None:
    module = built(config_of())
    losses = module.loss(views_of(module.config))
    assert losses["supervised"].item() == pytest.approx(math.log(99), rel=0.05)
    assert losses["kept"] == losses["consistency"] == losses["coral"] == 0
    assert losses["loss"] == losses["supervised"]


# --- the target


def test_the_target_follows_at_a_constant_rate_and_copies_statistics() -> None:
    module = built(config_of())
    online, target = module.decoder.generator.weight, module.target.decoder.generator.weight
    start = target.clone()
    assert torch.equal(online, start)
    with torch.no_grad():
        online.add_(1.0)
    module.before_step(0.1)
    assert torch.allclose(target, start + 0.001, atol=1e-6)
    module.before_step(0.9)
    assert torch.allclose(target, start + 1 - 0.999**2, atol=1e-6)
    running = module.target.state_dict()["encoder.features.0.1.running_mean"]
    assert not running.any()
    module.loss(views_of(module.config))
    assert torch.equal(running, module.encoder.state_dict()["features.0.1.running_mean"])
    assert running.any()
    assert not any(part.training for part in module.target.modules())


def test_a_resumed_run_keeps_its_target() -> None:
    module = built(config_of())
    with torch.no_grad():
        module.decoder.generator.weight.add_(1.0)
    resumed = CharacterConsistency(module.config)
    resumed.load_state_dict(module.state_dict())
    for one in (module, resumed):
        one.before_step(0.5)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


# --- the losses


@every_method
def test_the_consistency_term_character_by_character(name: str) -> None:
    """Against a loop over the characters of the kept images, told what the target wrote."""
    config = config_of(METHODS[name])
    module = built(config, bold=True)
    views = views_of(config)
    certain = confidences(module, views)
    module.config = config = replace(config, threshold=between(certain, 1))
    state = {n: t.clone() for n, t in module.state_dict().items()}
    losses = module.loss(views)
    assert losses["kept"].item() == pytest.approx(2 / 3)
    assert losses["confidence"].item() == pytest.approx(certain.mean().item(), rel=1e-4)

    module.load_state_dict(state)
    layout = module.layout
    with torch.no_grad():
        module(views["images"], views["tokens"][:, :-1])
        module.target.load_state_dict(
            {n: module.state_dict()[n] for n in module.target.state_dict()}
        )  # nothing has been learnt yet: target and online differ in statistics alone
        wanted = module.target(views["weak"]).logits
        features = module.encoder(views["strong"])
        terms, agreeing = [], 0
        for row in (certain >= config.threshold).nonzero()[:, 0].tolist():
            history = [layout.special("go")]
            while True:
                told = torch.tensor([history])
                out = module.decoder(features[row : row + 1], told, head=module.projection)
                online = out.logits[0, -1].log_softmax(-1)
                step = len(history) - 1
                choice = int(wanted[row, step].argmax())
                last = choice < layout.first or step == STEPS - 1
                choice = layout.special("end") if last else choice
                if name == "fixmatch":
                    terms.append(-online[choice])
                else:
                    sharp = (wanted[row, step] / 0.4).softmax(-1)
                    terms.append((sharp * (sharp.log() - online)).nansum())
                agreeing += int(online.argmax()) == choice
                history.append(choice)
                if last:
                    break
    expected = torch.stack(terms).mean().item() * 2 / 3
    assert len(terms) > 4
    assert losses["consistency"].item() == pytest.approx(expected, rel=1e-3)
    assert losses["agreement"].item() == pytest.approx(agreeing / len(terms), abs=1e-6)
    assert losses["loss"].item() == pytest.approx(
        losses["supervised"].item() + losses["consistency"].item() + 0.01 * losses["coral"].item(),
        rel=1e-5,
    )


def test_coral_is_between_the_characters_that_each_side_is_sure_of() -> None:
    config = config_of(threshold=0.0, labelled_threshold=0.0)
    module = built(config, bold=True)
    views = views_of(config)
    state = {n: t.clone() for n, t in module.state_dict().items()}
    losses = module.loss(views)
    assert losses["kept"] == 1
    assert losses["coral"] > 0
    module.load_state_dict(state)
    with torch.no_grad():
        told = module(views["images"], views["tokens"][:, :-1])
        module.target.load_state_dict(
            {n: module.state_dict()[n] for n in module.target.state_dict()}
        )
        reading = spelled(module.target(views["weak"]).logits, module.layout)
        features = module.encoder(views["strong"])
        seen = module.decoder(features, reading.tokens[:, :-1], head=module.projection)
        sides = [
            out.glimpses[spelled(out.logits, module.layout).characters(module.layout)]
            for out in (told, seen)
        ]
        scatters = [(rows - rows.mean(0)).T @ (rows - rows.mean(0)) for rows in sides]
        expected = ((scatters[0] - scatters[1]) ** 2).mean() / (4 * 64 * 64)
    assert losses["coral"].item() == pytest.approx(expected.item(), rel=1e-3)


def test_coral_grows_with_the_square_of_the_number_and_is_0_without_a_side() -> None:
    torch.manual_seed(0)
    one, other = torch.randn(40, 8), 2 * torch.randn(30, 8)
    once, twice = coral(one, other), coral(one.repeat(2, 1), other.repeat(2, 1))
    assert twice.item() == pytest.approx(4 * once.item(), rel=1e-4)
    assert coral(one + 5, other).item() == pytest.approx(once.item(), rel=1e-3)
    none = torch.zeros(0, 8, requires_grad=True)
    lonely = one.clone().requires_grad_()
    for distance in (coral(lonely, none), coral(none, lonely)):
        assert distance == 0
        distance.backward()
    assert lonely.grad is not None
    assert not lonely.grad.any()


# --- gradients


@every_method
def test_who_gets_gradients(name: str) -> None:
    config = config_of(METHODS[name], threshold=0.0)
    module = built(config, bold=True)

    def gradients(labels: list[str | None]) -> dict[str, float]:
        module.zero_grad()
        losses = module.loss(views_of(config, labels))
        assert all(value.isfinite() for value in losses.values())
        losses["loss"].backward()
        return {
            n: 0.0 if p.grad is None else p.grad.abs().max().item()
            for n, p in module.named_parameters()
        }

    labelled, unlabelled = gradients(["word", "two", "three"]), gradients([None, None, None])
    for parameter, size in labelled.items():
        if parameter.startswith(("projection.", "target.")):
            assert size == 0, parameter
    assert all(size == 0 for n, size in unlabelled.items() if n.startswith("target."))
    for parameter in (
        "projection.0.weight",
        "decoder.generator.weight",
        "encoder.features.0.0.weight",
    ):
        assert unlabelled[parameter] > 0, parameter
    assert labelled["decoder.generator.weight"] > 0
    assert all(p.grad is None for p in module.target.parameters())
    module.config = replace(config, threshold=1.01)
    assert gradients(BOTH)["projection.0.weight"] == 0
    assert all(size == 0 for size in gradients([None, None]).values())


def test_unusable_labels_cost_nothing() -> None:
    module = built(config_of())
    losses = module.loss(views_of(module.config, ["", "x" * 30, None]))
    assert losses["unusable"] == 1
    assert losses["supervised"] == 0
    assert all(value.isfinite() for value in losses.values())


# --- in the family


def test_it_may_start_from_a_recognizer_or_an_encoder_and_gives_a_recognizer() -> None:
    config = config_of()
    torch.manual_seed(3)
    parent = AttentionRecognizer(config)
    module = CharacterConsistency(config)
    assert CHARACTER_CONSISTENCY.fresh is not None
    fresh = inherit(module, {"trba": dict(parent.state_dict())}, fresh=CHARACTER_CONSISTENCY.fresh)
    assert {n.split(".")[0] for n in fresh} == {"target", "projection", "started"}
    module.before_step(0.0)
    for name, tensor in parent.state_dict().items():
        if "num_batches" not in name:
            assert torch.equal(module.target.state_dict()[name], tensor), name
    exported = CHARACTER_CONSISTENCY.export(module)
    assert exported.keys() == parent.state_dict().keys()
    built(config).load_state_dict(exported)
    convolutions = {n: t for n, t in exported.items() if n.startswith("encoder.features.")}
    inherit(module, {"rotnet": convolutions}, fresh=CHARACTER_CONSISTENCY.fresh)


def test_reading_does_not_depend_on_the_batch_or_the_projection() -> None:
    config = config_of()
    module = built(config, bold=True)
    assert CHARACTER_CONSISTENCY.reader is not None
    read = CHARACTER_CONSISTENCY.reader(module, config)
    images = batch_of(["a"] * 7).images.float() / 255
    whole = read(images)
    assert [text for text, _ in whole] == [read(image[None])[0][0] for image in images]
    assert len({text for text, _ in whole}) > 1
    with torch.no_grad():
        module.projection[0].weight.add_(1.0)
    assert read(images) == whole


# --- two ranks


def _shares(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    for name in METHODS:
        torch.save(_lost(name, rank, folder), f"{folder}/{name}.{rank}.pt")
    dist.destroy_process_group()


def _lost(name: str, rank: int | None, folder: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    config = config_of(METHODS[name], threshold=0.0, labelled_threshold=0.0)
    module = built(config, bold=True)
    batch = batch_of()
    threshold = Path(folder) / f"{name}.txt"
    if rank is None:
        views = CHARACTER_CONSISTENCY.views(config)(batch)
        threshold.write_text(str(between(confidences(module, views), 1)))
    module.config = replace(config, threshold=float(threshold.read_text()))
    module = module.double()
    loss_of: nn.Module = Objective(module)
    if rank is not None:
        rows = slice(rank, None, 2)
        batch = WordBatch(*(part[rows] for part in batch))
        loss_of = DistributedDataParallel(loss_of)
    views = {
        n: v.double() if v.is_floating_point() else v
        for n, v in CHARACTER_CONSISTENCY.views(config)(batch).items()
    }
    losses = loss_of(views)
    losses["loss"].backward()
    gradients = {n: p.grad for n, p in module.named_parameters() if p.grad is not None}
    return {n: value.detach() for n, value in losses.items()}, gradients


def test_two_ranks_give_the_losses_and_gradients_of_one(tmp_path: Path) -> None:
    one = {name: _lost(name, None, str(tmp_path)) for name in METHODS}
    start: Callable[..., object] = multiprocessing.spawn
    start(_shares, args=(str(tmp_path),), nprocs=2)
    for name, (losses, gradients) in one.items():
        assert losses["kept"].item() == pytest.approx(2 / 3)
        assert losses["coral"] > 0
        ranks = [torch.load(tmp_path / f"{name}.{r}.pt", weights_only=True) for r in range(2)]
        for term in losses:
            shared = (ranks[0][0][term] + ranks[1][0][term]) / 2
            assert shared.item() == pytest.approx(losses[term].item(), rel=1e-4), term
        for parameter, wanted in gradients.items():
            found = ranks[0][1][parameter]
            assert (found - wanted).abs().max() <= 1e-4 * wanted.abs().max() + 1e-7, parameter


# --- the views

VIEWS = {"weak": zheng_weak, "strong": zheng_strong}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_belongs_to_the_image_and_its_seed(name: str) -> None:
    view, batch = VIEWS[name], batch_of(["a"] * 70, width=100)
    whole = view(batch)
    assert whole.shape == (70, 3, 32, 100)
    assert whole.min() >= 0
    assert whole.max() <= 1
    order = torch.randperm(70, generator=torch.Generator().manual_seed(1))
    parts = []
    for rows in order.split(13):
        labels = [batch.labels[i] for i in rows.tolist()]
        parts.append(
            view(WordBatch(batch.images[rows], batch.aspect[rows], labels, batch.seeds[rows]))
        )
    assert torch.equal(torch.cat(parts), whole[order])
    for other in (view(batch, draw=1), view(batch._replace(seeds=batch.seeds + 1000))):
        assert (other == whole).flatten(1).all(1).float().mean() < 0.15


def test_the_strong_view_draws_each_operation_as_often_as_it_should() -> None:
    """Marks that a warp moves and colour operations keep, and the other way round."""
    n = 2000
    ramp = torch.linspace(60, 190, 100).expand(32, 100)
    images = torch.stack((ramp, ramp.flip(1), ramp.roll(30, 1))).to(torch.uint8)
    batch = WordBatch(
        images.expand(n, 3, 32, 100).contiguous(), torch.full((n,), 3.125), [None] * n,
        torch.arange(n),
    )  # fmt: skip
    views = zheng_strong(batch)
    same = (views * 255 - batch.images).abs().amax((1, 2, 3)) < 0.01
    # nothing applied: (1/2)^4; or posterize to 7 bits and the like, which change little but not that little
    assert same.float().mean().item() == pytest.approx(1 / 16, abs=0.02)
    corner = views[:, :, [0, 0, -1, -1], [0, -1, 0, -1]].amax(1).amin(1) < 1e-6
    # a warp blackens some corner with probability 3/4, colour operations can too (solarize, dark factors)
    assert 0.6 < corner.float().mean().item() < 0.85


def test_the_weak_view_stays_near() -> None:
    batch = batch_of(["a"] * 50)
    change = (zheng_weak(batch) - batch.images.float() / 255).abs().mean((1, 2, 3))
    assert change.max() < 0.2
    assert change.median() > 0.01
