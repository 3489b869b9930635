"""SeqCLR on its own encoder and on the ViT: views, instances, loss, gradients, what is handed on."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from strbench import augment, draws, warps
from strbench.baselines.parts import views_seqclr
from strbench.baselines.parts.views import plain
from strbench.baselines.parts.views_seqclr import Stream, seqclr_view
from strbench.baselines.pretrain.dig import DIG
from strbench.baselines.pretrain.seqclr import SEQCLR, SEQCLR_VIT, SeqCLR
from strbench.baselines.recognition.trba import TRBA, TRBC
from strbench.baselines.recognition.vit_attention import VIT_ATTENTION
from strbench.baselines.recognition.vit_ctc import VIT_CTC
from strbench.baselines.recognition.vit_transformer import VIT_TRANSFORMER
from strbench.errors import StrbenchError
from strbench.methods import Method, WordBatch, inherit

B = 8
BOTH = pytest.mark.parametrize("method", [SEQCLR, SEQCLR_VIT], ids=["fourstage", "vit"])


def word_batch(n: int = B, *, width: int = 100, seed: int = 0) -> WordBatch:
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(n, 3, 4, 12, generator=generator)
    images = (nn.functional.interpolate(small, (32, width), mode="bilinear") * 255).byte()
    return WordBatch(images, torch.full((n,), 3.0), [None] * n, torch.arange(n) + 1000 * seed)


def built(method: Method, *, n: int = B, **changes: object) -> tuple[SeqCLR, dict[str, Tensor]]:
    config = replace(method.recipes["smoke"], **changes)
    torch.manual_seed(0)
    module = method.build(config).train()
    assert isinstance(module, SeqCLR)
    return module, method.views(config)(word_batch(n, width=config.width))


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# --- counts, settings


def test_numbers_of_parameters_add_up_to_those_of_the_stages() -> None:
    with torch.device("meta"):
        module = SEQCLR.build(SEQCLR.recipes["paper"])
    stages = [
        count(getattr(module.encoder, name)) for name in ("transform", "features", "sequence")
    ]
    # one gray channel has 1,692,392, 44,263,904 and 2,892,288 (official classes); here there are three
    assert stages == [1_692_392 + 2 * 9 * 64, 44_263_904 + 2 * 9 * 32, 2_892_288]
    assert count(module) == sum(stages) == SEQCLR.card.parameters["full"]
    with torch.device("meta"):
        module = SEQCLR.build(replace(SEQCLR.recipes["paper"], projection="bilstm"))
    assert count(module.projection) == 2 * (4 * 256 * (256 + 256) + 8 * 256) + 512 * 256 + 256


def test_the_vit_is_the_one_that_recognizers_have() -> None:
    for size, total in {"tiny": 5_346_048, "small": 21_308_928, "base": 37_849_088}.items():
        with torch.device("meta"):
            module = SEQCLR_VIT.build(replace(SEQCLR_VIT.recipes["paper"], size=size))
        assert count(module.encoder) == total
        assert count(module) == SEQCLR_VIT.card.parameters[size]


def test_recipes() -> None:
    paper = SEQCLR.recipes["paper"]
    assert (paper.temperature, paper.windows, paper.mapping) == (0.1, 5, "window")
    assert (paper.transform, paper.features, paper.sequence) == ("tps", "resnet", "bilstm")
    ours, dig = SEQCLR_VIT.recipes["cpu-hour"], DIG.recipes["cpu-hour"]
    for name in (
        *("size", "height", "width", "batch_size", "steps", "epochs", "lr", "lr_batch", "min_lr"),
        *("optimiser", "schedule", "warmup_steps", "weight_decay", "betas", "eps", "clip_norm"),
    ):
        assert getattr(ours, name) == getattr(dig, name), name


# --- instances


@BOTH
@pytest.mark.parametrize("projection", ["none", "linear", "bilstm"])
@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"mapping": "all"}, 1),
        ({"mapping": "window"}, 5),
        ({"mapping": "window", "windows": 3}, 3),
        ({"mapping": "window", "window_frames": 4}, None),
        ({"mapping": "frame"}, None),
    ],
)
def test_instances(
    method: Method, projection: str, changes: dict[str, object], number: int | None
) -> None:
    module, batch = built(
        method, n=2, projection=projection, projection_hidden=12, projection_out=24, **changes
    )
    frames = module.frames(batch["first"])
    length = 26 if method is SEQCLR else 16
    assert frames.shape[:2] == (2, length)
    found = module.instances(frames)
    wanted = number or (length // 4 if "window_frames" in changes else length)
    assert found.shape == (2, wanted, frames.shape[2] if projection == "none" else 24)
    rows = module.projection(frames)
    if wanted == 1:
        torch.testing.assert_close(found[:, 0], rows.mean(1))
    elif wanted == length:
        assert torch.equal(found, rows)
    elif number == 5:  # bins of torch's adaptive pooling; neighbours may share a frame
        low, high = length // 5, -(-length * 2 // 5)
        torch.testing.assert_close(found[:, 1], rows[:, low:high].mean(1))
    elif number is None:
        torch.testing.assert_close(found[:, 2], rows[:, 8:12].mean(1))


def test_windows_of_the_vit_run_over_columns() -> None:
    module, _ = built(SEQCLR_VIT, projection="none", windows=4)
    tokens = torch.randn(2, 4 * 16, 64)
    module.encoder.forward = lambda images: tokens  # type: ignore[method-assign,assignment]
    found = module.instances(module.frames(torch.zeros(2, 3, 32, 128)))
    grid = tokens.view(2, 4, 16, 64)
    torch.testing.assert_close(found[:, 2], grid[:, :, 8:12].mean((1, 2)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mapping": "rows"}, "mapping"),
        ({"projection": "mlp"}, "projection"),
        ({"encoder": "cnn"}, "encoder"),
        ({"windows": 27}, "windows=27"),
        ({"windows": 0}, "windows=0"),
        ({"window_frames": 30}, "window_frames=30"),
        ({"size": "huge"}, "size"),
    ],
)
def test_configs_that_cannot_be(changes: dict[str, object], message: str) -> None:
    with pytest.raises(StrbenchError, match=message):
        built(SEQCLR, **changes)


# --- loss and gradients


@BOTH
@pytest.mark.parametrize("mapping", ["all", "window", "frame"])
def test_initial_loss(method: Method, mapping: str) -> None:
    module, batch = built(method, n=24, mapping=mapping)
    loss = module.loss(batch)
    instances = module.instances(module.frames(batch["first"])).shape[:2].numel()
    # Lower where the features of a fresh encoder are alike over the words; higher where they are few,
    # because cosines of 32 random numbers are far from 0.
    unrelated = math.log(2 * instances - 1)
    assert 0.85 * unrelated < loss["loss"] < 1.25 * unrelated
    assert loss["feature_std"] > 0.05
    noise = replace(module.config, mapping="frame", projection="none")
    module.config, module.projection = noise, nn.Identity()
    module.frames = lambda images: torch.randn(len(images), 5, 512)  # type: ignore[method-assign]
    assert module.loss(batch)["loss"].item() == pytest.approx(math.log(2 * 5 * 24 - 1), rel=0.05)


def test_loss_is_nt_xent_over_the_windows_of_both_views() -> None:
    module, batch = built(SEQCLR, n=3)
    found = module.loss(batch)["loss"]
    with torch.no_grad():
        views = [
            module.instances(module.frames(batch[n])).flatten(0, 1) for n in ("first", "second")
        ]
    rows = torch.cat(views)
    rows = rows / rows.norm(dim=1, keepdim=True)
    chance = (rows @ rows.T / 0.1).exp()
    chance.fill_diagonal_(0.0)
    own = torch.cat([chance.diagonal(15), chance.diagonal(-15)])
    assert found.item() == pytest.approx(-(own / chance.sum(1)).log().mean().item(), rel=1e-4)


def test_permutations() -> None:
    module, _ = built(SEQCLR, mapping="frame", projection="none")
    frames = {name: torch.randn(4, 6, 32) for name in ("first", "second")}
    frames["second"] = frames["first"] + 0.3 * frames["second"]
    module.frames = lambda images: images  # type: ignore[method-assign]
    loss = module.loss(frames)["loss"]
    order = torch.tensor([2, 0, 3, 1])
    same = module.loss({name: images[order] for name, images in frames.items()})["loss"]
    torch.testing.assert_close(loss, same)
    moved = module.loss({**frames, "second": frames["second"][:, [1, 0, 2, 3, 4, 5]]})["loss"]
    assert moved > loss + 0.1


@BOTH
@pytest.mark.parametrize("projection", ["none", "linear", "bilstm"])
def test_every_weight_gets_a_gradient(method: Method, projection: str) -> None:
    module, batch = built(method, projection=projection)
    module.loss(batch)["loss"].backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any() or name == "encoder.mask_token" or "bias" in name, name
    assert any(p.grad is not None and p.grad.any() for p in module.encoder.parameters())


def test_rectification_learns_too() -> None:
    module, batch = built(SEQCLR, transform="tps")
    module.loss(batch)["loss"].backward()
    gradients = [p.grad for p in module.encoder.transform.parameters()]
    assert all(g is not None for g in gradients)
    assert any(g.any() for g in gradients if g is not None)


@BOTH
def test_it_learns_a_fixed_batch(method: Method) -> None:
    module, batch = built(method)
    optimiser = torch.optim.AdamW(module.parameters(), lr=2e-3)
    first = module.loss(batch)
    for _ in range(30):
        loss = module.loss(batch)
        optimiser.zero_grad()
        loss["loss"].backward()
        optimiser.step()
    assert loss["accuracy"] > 0.9 > 0.5 > first["accuracy"]
    assert loss["loss"] < 0.5 * first["loss"]
    assert loss["feature_std"] > 0.3


# --- what is handed on


@pytest.mark.parametrize(
    ("method", "child"),
    [
        (SEQCLR, TRBC),
        (SEQCLR, TRBA),
        (SEQCLR_VIT, VIT_CTC),
        (SEQCLR_VIT, VIT_ATTENTION),
        (SEQCLR_VIT, VIT_TRANSFORMER),
    ],
    ids=lambda method: method.card.name,
)
@pytest.mark.parametrize("transform", ["none", "tps"])
def test_the_encoder_is_handed_on_whole(method: Method, child: Method, transform: str) -> None:
    parent, _ = built(method, transform=transform)
    exported = method.export(parent)
    assert child.card.name in method.feeds
    assert not any("projection" in name for name in exported)
    same = {n: getattr(parent.config, n) for n in child.shape if n in method.shape}
    module = child.build(replace(child.recipes["smoke"], **same))
    assert child.fresh is not None
    left = inherit(module, {"parent": exported}, fresh=child.fresh)
    assert all(name.startswith("decoder.") for name in left)
    own = module.state_dict()
    assert exported.keys() == {n for n in own if n.startswith("encoder.")}
    assert all(torch.equal(own[name], tensor) for name, tensor in exported.items())


# --- views


def test_a_view_belongs_to_the_image_and_its_seed() -> None:
    batch = word_batch(30)._replace(aspect=torch.linspace(0.5, 9, 30))
    whole = seqclr_view(batch)
    assert whole.shape == (30, 3, 32, 100)
    assert 0 <= whole.min() < whole.max() <= 1
    for rows in (torch.randperm(30), torch.arange(7), torch.tensor([4])):
        labels: list[str | None] = [None] * len(rows)
        part = WordBatch(batch.images[rows], batch.aspect[rows], labels, batch.seeds[rows])
        assert torch.equal(seqclr_view(part), whole[rows])
    for other in (seqclr_view(batch, draw=1), seqclr_view(batch._replace(seeds=batch.seeds + 99))):
        assert (other == whole).flatten(1).all(1).float().mean() < 0.1


def test_the_two_views_are_independent_draws() -> None:
    _, batch = built(SEQCLR)
    assert batch["first"].shape == batch["second"].shape == (B, 3, 32, 100)
    words = word_batch()
    torch.testing.assert_close(batch["first"], seqclr_view(words) * 2 - 1)
    torch.testing.assert_close(batch["second"], seqclr_view(words, draw=1) * 2 - 1)
    _, gray = built(SEQCLR, channels=1)
    assert gray["first"].shape == (B, 1, 32, 100)
    _, wide = built(SEQCLR_VIT)
    assert wide["first"].shape == (B, 3, 32, 128)


def test_one_to_five_of_seven_operations() -> None:
    turns = draws.random_turns(torch.arange(4000), 7, 1, 5, Stream.TURNS)
    number = (turns >= 0).sum(1)
    share = torch.bincount(number, minlength=8) / 4000
    torch.testing.assert_close(share[1:6], torch.full((5,), 0.2), atol=0.03, rtol=0)
    assert number.min() == 1
    assert number.max() == 5


def only(monkeypatch: pytest.MonkeyPatch, turns: dict[int, int]) -> None:
    """These operations at these turns, and no others."""

    def fixed(seeds: Tensor, operations: int, *_: int) -> Tensor:
        out = torch.full((len(seeds), operations), -1)
        for operation, turn in turns.items():
            out[:, operation] = turn
        return out

    monkeypatch.setattr(views_seqclr.draws, "random_turns", fixed)


def lines(n: int, axis: int) -> WordBatch:
    """Pictures whose value is the place along one axis."""
    size = 32 if axis == 2 else 100
    values = torch.linspace(0, 255, size).round().to(torch.uint8)
    picture = values[:, None] if axis == 2 else values[None]
    images = picture.expand(n, 3, 32, 100).contiguous()
    return WordBatch(images, torch.full((n,), 3.0), [None] * n, torch.arange(n))


def test_ranges_of_contrast_and_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, {0: 0})
    batch = word_batch(400)
    middle = 127 / 255
    before, after = (x.flatten(1) - middle for x in (plain(batch), seqclr_view(batch)))
    alpha = (before * after).sum(1) / (before * before).sum(1)
    assert 0.5 <= alpha.min() < 0.52
    assert 0.98 < alpha.max() <= 1
    only(monkeypatch, {3: 0})  # rows: up to 40 % above and as much below, each for itself
    rows = seqclr_view(lines(600, 2))[:, 0, :, 50]
    assert 0.38 < rows[:, 0].max() < 0.43
    assert 0.57 < rows[:, -1].min() < 0.62
    assert rows[:, 0].mean().item() == pytest.approx(0.2, abs=0.025)
    assert abs(torch.corrcoef(torch.stack((rows[:, 0], rows[:, -1])))[0, 1]) < 0.15
    across = seqclr_view(lines(600, 3))[:, 0, 16]
    torch.testing.assert_close(across, plain(lines(600, 3))[:, 0, 16], atol=1e-5, rtol=0)
    only(monkeypatch, {4: 0})  # columns: up to 2 % a side
    columns = seqclr_view(lines(600, 3))[:, 0, 16]
    assert 0.015 < columns[:, 0].max() < 0.023
    assert 0.977 < columns[:, -1].min() < 0.985


def test_ranges_of_the_warps(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, {5: 0})
    moved = (seqclr_view(lines(200, 2)) - plain(lines(200, 2)))[:, 0, 8:24]
    # standard deviation 0.02 to 0.03 of the height at inner lattice points, less between them
    assert 0.008 < moved.std() < 0.03
    only(monkeypatch, {6: 0})
    moved = (seqclr_view(lines(200, 3)) - plain(lines(200, 3)))[:, 0]
    assert 0.004 < moved[:, :, 5].mean() < 0.03  # corners move inwards: mean 0.012, near the edge
    assert -0.03 < moved[:, :, -5].mean() < -0.004


def test_operations_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = word_batch(6)
    seeds = draws.derive(batch.seeds, 0)
    alpha = draws.uniform(seeds, 0.5, 1.0, Stream.CONTRAST)
    sigma = draws.uniform(seeds, 0.5, 1.5, Stream.BLUR)
    cut = draws.uniforms(seeds, 2, Stream.CROP_ROWS) * 0.4
    none = torch.zeros(6)
    crop = warps.cropping(none, cut[:, 0], none, cut[:, 1])

    def blurred(images: Tensor) -> Tensor:
        return augment.gaussian_blur(images, sigma, batch.aspect, reach=2.0)

    def cropped(images: Tensor) -> Tensor:
        return warps.warp(images, warps.sampling_grid(crop, 32, 100))

    only(monkeypatch, {1: 0, 3: 1, 0: 2})
    expected = augment.linear_contrast(cropped(blurred(plain(batch))), alpha)
    assert torch.equal(seqclr_view(batch), expected)
    only(monkeypatch, {3: 0, 0: 1, 1: 2})
    expected = blurred(augment.linear_contrast(cropped(plain(batch)), alpha))
    assert torch.equal(seqclr_view(batch), expected)
