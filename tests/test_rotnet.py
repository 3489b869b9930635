"""RotNet, the features it hands on, and the views of STR-Fewer-Labels for training recognizers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from strbench import draws
from strbench.baselines.parts import views_strfl
from strbench.baselines.parts.views import plain
from strbench.baselines.pretrain.rotnet import ROTNET, ROTNET_RESNET, RotNet
from strbench.baselines.recognition.crnn import CRNN
from strbench.baselines.recognition.trba import TRBA, TRBC
from strbench.errors import StrbenchError
from strbench.methods import Method, WordBatch, inherit

SMOKE = ROTNET.recipes["smoke"]
AUGMENTATIONS = {
    "blur5-crop99": views_strfl.blur5_crop99,
    "crop90-rot15": views_strfl.crop90_rot15,
    "moco": views_strfl.moco_crop,
}


def soft_pictures(n: int, *, width: int = 100, seed: int = 0) -> Tensor:
    """(n, 3, 32, width) uint8, each its own, with an up and a left of its own."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(n, 3, 4, 12, generator=generator)
    images = nn.functional.interpolate(small, (32, width), mode="bilinear")
    images[:, 0] = images[:, 0] * 0.5 + torch.linspace(0, 0.5, 32)[:, None]
    return (images * 255).byte()


def word_batch(n: int, *, aspect: float = 3.125, width: int = 100, seed: int = 0) -> WordBatch:
    images = soft_pictures(n, width=width, seed=seed)
    return WordBatch(images, torch.full((n,), aspect), [None] * n, torch.arange(n) + 1000 * seed)


def ramp(n: int, axis: str, *, aspect: float) -> WordBatch:
    """Pictures whose value is the place along one axis: what a crop reads at its edges is where it is."""
    size = 32 if axis == "y" else 100
    values = torch.linspace(0, 255, size).round().to(torch.uint8)
    shaped = values[:, None] if axis == "y" else values[None]
    images = shaped.expand(n, 3, 32, 100).contiguous()
    return WordBatch(images, torch.full((n,), aspect), [None] * n, torch.arange(n))


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("method", "total"), [(ROTNET, 5_553_028), (ROTNET_RESNET, 44_266_532)])
def test_published_numbers_of_parameters(method: Method, total: int) -> None:
    with torch.device("meta"):
        assert count(method.build(method.recipes["paper"])) == total
    assert method.card.parameters == {"full": total}


def test_paper_recipe_holds_the_released_values() -> None:
    paper = ROTNET.recipes["paper"]
    assert (paper.optimiser, paper.lr, paper.momentum, paper.weight_decay) == (
        "sgd",
        0.1,
        0.9,
        5e-4,
    )
    assert (paper.schedule, paper.milestones, paper.decay) == ("steps", (0.3, 0.6, 0.8), 0.2)
    assert (paper.steps, paper.batch_size, paper.clip_norm) == (200_000, 128, 5.0)
    assert (paper.channels, paper.transfer, paper.lr_batch) == (3, "parameters", 0)


# --- rotations


def test_rotations_are_pillows() -> None:
    batch = word_batch(3)
    turned = views_strfl.four_rotations(plain(batch)).view(3, 4, 3, 32, 100)
    turns = [None, *(Image.Transpose[f"ROTATE_{degrees}"] for degrees in (90, 180, 270))]
    for picture, four in zip(batch.images, turned, strict=True):
        image = Image.fromarray(picture.permute(1, 2, 0).numpy())
        for turn, found in zip(turns, four, strict=True):
            wanted = image if turn is None else image.transpose(turn)
            wanted = wanted.resize((100, 32), Image.Resampling.BICUBIC)
            pixels = torch.from_numpy(np.asarray(wanted).copy()).permute(2, 0, 1)
            assert (pixels - found * 255).abs().max() < 2.5
    assert torch.equal(turned[:, 0], plain(batch))
    assert torch.equal(turned[:, 2], plain(batch).flip(2, 3))


def test_views_hold_four_images_a_word_whatever_the_batch() -> None:
    view = ROTNET.views(SMOKE)
    batch = word_batch(5)
    whole = view(batch)["images"]
    assert whole.shape == (20, 3, 32, 100)
    part = view(WordBatch(batch.images[3:], batch.aspect[3:], [None] * 2, batch.seeds[3:]))
    assert torch.equal(part["images"], whole[12:])
    torch.testing.assert_close(whole[0], batch.images[0] / 127.5 - 1)
    assert ROTNET.views(replace(SMOKE, channels=1))(batch)["images"].shape == (20, 1, 32, 100)


# --- loss


def built(method: Method = ROTNET, **changes: object) -> RotNet:
    torch.manual_seed(0)
    module = method.build(replace(method.recipes["smoke"], **changes)).train()
    assert isinstance(module, RotNet)
    return module


@pytest.mark.parametrize("method", [ROTNET, ROTNET_RESNET], ids=["vgg", "resnet"])
def test_initial_loss(method: Method) -> None:
    module = built(method)
    batch = ROTNET.views(SMOKE)(word_batch(8))
    # Kaiming weights in the head too: the first guesses are confident, and wrong as often as not
    assert math.log(4) * 0.95 < module.loss(batch)["loss"] < 3
    nn.init.zeros_(module.net.head.weight)
    loss = module.loss(batch)
    assert loss["loss"].item() == pytest.approx(math.log(4))
    assert loss["accuracy"].item() == pytest.approx(0.25)


def test_the_answer_is_the_number_of_quarter_turns() -> None:
    module = built()
    module.net = nn.Identity()  # type: ignore[assignment]
    right = torch.eye(4).repeat(3, 1) * 20
    assert module.loss({"images": right})["loss"] < 1e-6
    assert module.loss({"images": right})["accuracy"] == 1
    assert module.loss({"images": right.roll(1, 0)})["accuracy"] == 0


def test_head_reads_the_mean_of_the_features() -> None:
    module = built(ROTNET_RESNET).eval()
    images = torch.rand(2, 3, 32, 100)
    maps = module.net.encoder.features(images)
    assert maps.shape == (2, module.net.encoder.dim, 1, 26)
    torch.testing.assert_close(module.net(images), module.net.head(maps.mean((2, 3))))


def test_it_learns_a_fixed_batch_and_every_weight_takes_part() -> None:
    module = built()
    batch = ROTNET.views(SMOKE)(word_batch(6))
    optimiser = torch.optim.AdamW(module.parameters(), lr=2e-3)
    for _ in range(40):
        optimiser.zero_grad()
        loss = module.loss(batch)
        loss["loss"].backward()
        assert all(p.grad is not None and p.grad.any() for p in module.net.head.parameters())
        optimiser.step()
    assert loss["accuracy"] == 1
    assert all(p.grad is not None for p in module.parameters())


# --- what is handed on


@pytest.mark.parametrize(
    ("method", "child"), [(ROTNET, CRNN), (ROTNET_RESNET, TRBA), (ROTNET_RESNET, TRBC)]
)
def test_features_are_taken_over_by_what_it_feeds(method: Method, child: Method) -> None:
    assert child.card.name in method.feeds
    parent = built(method)
    module = child.build(replace(child.recipes["smoke"], size="micro", channels=3))
    assert child.fresh is not None
    exported = method.export(parent)
    left = inherit(module, {"parent": exported}, fresh=child.fresh)
    assert not any(name.startswith("encoder.features.") for name in left)
    own = module.state_dict()
    for name, tensor in parent.net.encoder.state_dict().items():
        assert torch.equal(own[f"encoder.{name}"], tensor)


def test_transfer_of_parameters_leaves_batchnorm_statistics_behind() -> None:
    module = built(ROTNET_RESNET, transfer="parameters")
    module.loss(ROTNET.views(SMOKE)(word_batch(4)))  # moves the running statistics
    exported = ROTNET.export(module)
    trained = module.net.encoder.state_dict()
    assert exported.keys() == {f"encoder.{name}" for name in trained}
    fresh = built(ROTNET_RESNET).net.encoder.state_dict()
    parameters = {name for name, _ in module.net.encoder.named_parameters()}
    moved = 0
    for name in trained:
        wanted = trained if name in parameters else fresh
        assert torch.equal(exported[f"encoder.{name}"], wanted[name]), name
        moved += not torch.equal(trained[name], fresh[name])
    assert moved > 10
    module.config = replace(module.config, transfer="all")
    for name, tensor in ROTNET.export(module).items():
        assert torch.equal(tensor, trained[name.removeprefix("encoder.")])


def test_an_unknown_transfer_is_refused() -> None:
    with pytest.raises(StrbenchError, match="transfer"):
        built(transfer="some")


# --- the views that recognizers train with


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_view_belongs_to_the_image_and_its_seed(name: str) -> None:
    view = AUGMENTATIONS[name]
    batch = word_batch(20)._replace(aspect=torch.linspace(0.5, 9, 20))
    whole = view(batch)
    assert whole.shape == (20, 3, 32, 100)
    assert whole.dtype == torch.float32
    assert 0 <= whole.min() < whole.max() <= 1
    order = torch.randperm(20)
    for rows in (order, torch.arange(7), torch.tensor([4])):
        part = WordBatch(
            batch.images[rows], batch.aspect[rows], [None] * len(rows), batch.seeds[rows]
        )
        assert torch.equal(view(part), whole[rows])
    assert not torch.equal(view(batch, draw=1), whole)
    assert not torch.equal(view(batch._replace(seeds=batch.seeds + 99)), whole)
    small = batch._replace(images=batch.images[:, :, ::2, ::3].contiguous())
    assert view(small).shape == (20, 3, 16, 34)


def test_blur5_crop99() -> None:
    batch = word_batch(300, seed=1)
    noise = torch.randint(0, 256, batch.images.shape, generator=torch.Generator().manual_seed(0))
    batch = batch._replace(images=noise.byte())

    def roughness(images: Tensor) -> Tensor:
        return images.diff(dim=3).abs().mean((1, 2, 3))

    kept = roughness(views_strfl.blur5_crop99(batch)) / roughness(plain(batch))
    blurred = draws.chance(draws.derive(batch.seeds, 0), 0.5, views_strfl.Stream.BLUR_GATE)
    assert blurred.double().mean().item() == pytest.approx(0.5, abs=0.1)
    assert kept[~blurred].min() > 0.5  # resampling noise at 99 to 100 % smooths it a little
    assert kept[blurred].median() < 0.1
    places = ramp(300, "x", aspect=3.125)._replace(seeds=batch.seeds)
    edges = views_strfl.blur5_crop99(places)[~blurred][:, 0, 0]
    assert 0.006 < edges[:, 0].max() < 0.0125  # the ramp is rounded to 1/255
    assert 0.9875 < edges[:, -1].min() < 0.994


def test_crop90_keeps_the_aspect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        views_strfl.draws, "uniform", lambda seeds, *_: torch.zeros(len(seeds)).double()
    )
    across = views_strfl.crop90_rot15(ramp(400, "x", aspect=4.0))[:, 0, 16]
    down = views_strfl.crop90_rot15(ramp(400, "y", aspect=4.0))[:, 0, :, 50]
    # pixel centres stand as far apart in the crop as in the ramp, times the crop's size
    width, height = across[:, -1] - across[:, 0], down[:, -1] - down[:, 0]
    torch.testing.assert_close(width, height, atol=0.03, rtol=0)
    assert 0.89 < width.min() < 0.91
    assert 0.99 < width.max() <= 1
    assert width.mean().item() == pytest.approx(0.95, abs=0.01)
    left = across[:, 0] / (1 - width).clamp(min=1e-3)  # share of the cut that is on the left
    assert left[width < 0.97].mean().item() == pytest.approx(0.5, abs=0.12)


def test_rot15_is_pillows_rotation_onto_a_larger_canvas(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = word_batch(12)
    angles = draws.uniform(draws.derive(batch.seeds, 0), -15, 15, views_strfl.Stream.ROTATE)
    assert angles.min() < -5 < 5 < angles.max()
    whole = torch.eye(3, dtype=torch.float64).expand(12, 3, 3)
    monkeypatch.setattr(views_strfl, "_crop", lambda *_: whole)
    out = views_strfl.crop90_rot15(batch)
    for picture, angle, found in zip(batch.images, angles.tolist(), out, strict=True):
        image = Image.fromarray(picture.permute(1, 2, 0).numpy())
        image = image.resize((400, 128), Image.Resampling.BICUBIC)  # its canvas has whole pixels
        turned = image.rotate(angle, Image.Resampling.BICUBIC, expand=True)
        turned = turned.resize((100, 32), Image.Resampling.BICUBIC)
        wanted = torch.from_numpy(np.asarray(turned).copy()).permute(2, 0, 1) / 255
        assert (wanted - found).abs().mean() < 0.03
        assert ((wanted == 0) == (found == 0)).float().mean() > 0.9
