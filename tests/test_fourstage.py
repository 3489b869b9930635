"""The stages that CRNN, TRBA and their relatives share: counts, shapes, rectification, decoding."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from strbench.baselines.parts import fourstage
from strbench.baselines.parts.attention_decoder import AttentionDecoder
from strbench.baselines.parts.convnets import VGG, ConvNet, ResNet29
from strbench.baselines.parts.fourstage import Encoder
from strbench.baselines.parts.recurrent import BiLSTM
from strbench.baselines.parts.tps import TPS
from strbench.errors import StrbenchError


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def encoder(
    size: str = "micro",
    *,
    transform: fourstage.Transform = "tps",
    features: fourstage.Features = "resnet",
    sequence: fourstage.Sequence = "bilstm",
    **options: int,
) -> Encoder:
    torch.manual_seed(0)
    return Encoder(size, transform=transform, features=features, sequence=sequence, **options)


# --- counts and shapes


def test_stages_have_the_published_numbers_of_parameters() -> None:
    with torch.device("meta"):
        assert count(TPS(1, height=32, width=100)) == 1_692_392
        assert count(ResNet29(1)) == 44_263_904
        assert count(VGG(1)) == 5_549_824
        assert count(nn.Sequential(BiLSTM(512, 256, 256), BiLSTM(256, 256, 256))) == 2_892_288
        whole = Encoder("full", transform="tps", features="resnet", sequence="bilstm")
    assert count(whole) == 1_692_392 + 44_263_904 + 2_892_288


def test_published_shapes() -> None:
    images = torch.empty(2, 1, 32, 100, device="meta")
    with torch.device("meta"):
        assert ResNet29(1)(images).shape == (2, 512, 1, 26)
        assert VGG(1)(images).shape == (2, 512, 1, 24)
        whole = Encoder("full", transform="none", features="resnet", sequence="bilstm")
    assert whole.visual(images).shape == (2, 512, 1, 26)
    assert whole.dim == 256


@pytest.mark.parametrize("kind", [VGG, ResNet29])
def test_stages_end_in_what_forward_returns(kind: type[VGG] | type[ResNet29]) -> None:
    torch.manual_seed(0)
    network: ConvNet = kind(3, width=16)
    images = torch.randn(2, 3, 32, 100)
    maps = network.eval().stages(images)
    assert torch.equal(maps[-1], network(images))
    assert tuple(m.shape[1] for m in maps) == network.widths
    heights = [m.shape[2] for m in maps]
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] == 1


@pytest.mark.parametrize("size", ["mini", "micro"])
@pytest.mark.parametrize("features", ["vgg", "resnet"])
@pytest.mark.parametrize(("height", "width"), [(32, 100), (32, 64), (64, 90)])
def test_frames_are_counted_before_they_are_there(
    size: str, features: fourstage.Features, height: int, width: int
) -> None:
    module = encoder(size, features=features, height=height, width=width).eval()
    out = module(torch.zeros(1, 1, height, width))
    assert out.shape == (1, module.frames, module.dim)
    assert module.frames == fourstage.frames_of(features, width)


def test_rows_that_are_left_are_averaged() -> None:
    module = encoder(transform="none", sequence="none", height=64).eval()
    images = torch.randn(2, 1, 64, 100)
    maps = module.features(images)
    assert maps.shape[2] > 1
    torch.testing.assert_close(module(images), maps.mean(2).transpose(1, 2))
    assert module.dim == fourstage.SIZES["micro"].features


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"size": "huge"}, "micro"), ({"height": 16}, "16x100"), ({"width": 8}, "32x8")],
)
def test_encoders_that_cannot_be_built(changes: dict[str, int], message: str) -> None:
    with pytest.raises(StrbenchError, match=message):
        encoder(**changes)  # type: ignore[arg-type]


# --- weights and input


def test_weights_are_drawn_as_clovaai_does() -> None:
    module = encoder("mini")
    for name, parameter in module.named_parameters():
        if name.startswith("transform.points"):
            continue
        if parameter.ndim == 1:
            want = 0.0 if name.rpartition(".")[2].startswith("bias") else 1.0
            assert (parameter == want).all(), name
        elif parameter.numel() > 10_000:
            inputs = parameter[0].numel()
            assert parameter.std().item() == pytest.approx(math.sqrt(2 / inputs), rel=0.05), name
    assert isinstance(module.transform, TPS)
    assert not module.transform.points.weight.any()
    assert module.transform.points.bias.any()


def test_gray_is_that_of_pillow() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 100, 3), dtype=np.uint8)
    gray = np.asarray(Image.fromarray(pixels).convert("L"), dtype=np.float32)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    ours = (encoder().to_channels(images)[0, 0] + 1) / 2 * 255
    assert np.abs(ours.numpy() - gray).max() <= 0.51  # Pillow rounds
    colour = encoder(transform="none", channels=3).to_channels(images)
    torch.testing.assert_close(colour, (images - 0.5) / 0.5)


def test_under_autocast_the_recurrent_parts_keep_float32() -> None:
    module = encoder()
    decoder = AttentionDecoder(module.dim, hidden=8, classes=5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = module(torch.randn(2, 1, 32, 100))
        assert out.dtype == torch.float32
        assert decoder.greedy(out.bfloat16(), 3).logits.dtype == torch.float32


# --- rectification


def grid_of(tps: TPS, points: Tensor) -> Tensor:
    """Where a rectifier reads (H, W, 2), if its network places these points."""
    with torch.no_grad():
        tps.points.bias.copy_(points.flatten())
    # an image whose two channels are their own coordinates
    x, y = torch.meshgrid(torch.linspace(-1, 1, 33), torch.linspace(-1, 1, 33), indexing="xy")
    grid: Tensor = tps(torch.stack([x, y])[None])[0].permute(1, 2, 0)
    return grid


def edges(k: int) -> Tensor:
    x = torch.linspace(-1, 1, k // 2)
    return torch.cat([torch.stack([x, torch.full_like(x, y)], dim=1) for y in (-1.0, 1.0)])


def centres(height: int, width: int) -> Tensor:
    x = (torch.arange(width) * 2 + 1) / width - 1
    y = (torch.arange(height) * 2 + 1) / height - 1
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def test_points_start_on_the_slopes_of_rare_whatever_the_image() -> None:
    tps = TPS(1, height=32, width=100, widest=32)
    points = tps.fiducials(torch.randn(3, 1, 40, 77))
    assert points.shape == (3, 20, 2)
    assert torch.equal(points[0], points[2])
    assert points[0, 0].tolist() == [-1.0, 0.0]
    assert points[0, 9].tolist() == [1.0, -1.0]
    assert points[0, 10].tolist() == [-1.0, 1.0]
    assert points[0, 19].tolist() == [1.0, 0.0]
    assert torch.equal(points[0, :10, 0], points[0, 10:, 0])


def test_affine_points_give_an_affine_grid() -> None:
    tps = TPS(2, height=8, width=20, widest=16).eval()
    torch.testing.assert_close(grid_of(tps, edges(20)), centres(8, 20), atol=1e-5, rtol=0)
    turn = torch.tensor([[0.6, 0.2], [-0.1, 0.5]])
    moved = grid_of(tps, edges(20) @ turn + 0.1)
    torch.testing.assert_close(moved, centres(8, 20) @ turn + 0.1, atol=1e-5, rtol=0)


def test_the_grid_is_the_thin_plate_spline_through_the_points() -> None:
    interpolate = pytest.importorskip("scipy.interpolate")
    tps = TPS(2, height=8, width=20, widest=16, fiducials=8).eval()
    points = 0.7 * edges(8) + 0.1 * torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    spline = interpolate.RBFInterpolator(
        edges(8).numpy(), points.numpy(), kernel="thin_plate_spline", degree=1
    )
    want = spline(centres(8, 20).reshape(-1, 2).numpy()).reshape(8, 20, 2)
    assert np.abs(grid_of(tps, points).detach().numpy() - want).max() < 1e-4


def test_outside_the_image_its_border_goes_on() -> None:
    tps = TPS(1, height=8, width=20, widest=16).eval()
    with torch.no_grad():
        tps.points.bias.copy_((edges(20) + torch.tensor([9.0, 0.0])).flatten())
    image = torch.arange(50.0).expand(1, 1, 12, 50)
    assert (tps(image) == 49).all()


def test_a_prediction_moves_the_grid_and_the_network_learns_from_it() -> None:
    tps = TPS(1, height=8, width=20, widest=16)
    images = torch.randn(2, 1, 16, 40)
    tps(images).square().sum().backward()
    assert tps.points.bias.grad is not None
    assert tps.points.bias.grad.any()
    assert not tps.hidden.weight.grad.any()  # type: ignore[union-attr]  # behind zero weights
    nn.init.normal_(tps.points.weight, std=0.1)
    tps(images).square().sum().backward()
    first = next(tps.localisation.parameters())
    assert first.grad is not None
    assert first.grad.any()


@pytest.mark.parametrize("fiducials", [2, 7])
def test_fiducials_come_in_pairs(fiducials: int) -> None:
    with pytest.raises(ValueError, match=f"fiducials={fiducials}"):
        TPS(1, height=8, width=20, fiducials=fiducials)


# --- the attention decoder


def decoder(embedding: int | None = None, *, go: int = 0) -> AttentionDecoder:
    torch.manual_seed(1)
    module = AttentionDecoder(6, hidden=8, classes=5, embedding=embedding, go=go)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=2.0)  # sharp enough for greedy paths that differ
    nn.init.zeros_(module.generator.bias)
    return module.eval()


@pytest.mark.parametrize(("embedding", "go"), [(None, 0), (4, 2)])
def test_greedy_is_teacher_forcing_with_its_own_words(embedding: int | None, go: int) -> None:
    module = decoder(embedding, go=go)
    features = torch.randn(7, 9, 6)
    free = module.greedy(features, 10)
    assert free.logits.shape == (7, 10, 5)
    assert free.hidden.shape == (7, 10, 8)
    assert free.glimpses.shape == (7, 10, 6)
    written = free.logits.argmax(-1)
    assert len(written.unique(dim=0)) > 2
    told = module(features, torch.cat([torch.full((7, 1), go), written[:, :-1]], dim=1))
    for ours, want in zip(told, free, strict=True):
        torch.testing.assert_close(ours, want)
    alone = module.greedy(features[:1], 10)
    torch.testing.assert_close(alone.logits, free.logits[:1])


def test_a_step_knows_the_classes_before_it_alone() -> None:
    module = decoder()
    features = torch.randn(1, 9, 6)
    tokens = torch.tensor([[0, 1, 2, 3, 4]])
    other = tokens.clone()
    other[0, 3] = 1
    first, second = module(features, tokens).logits[0], module(features, other).logits[0]
    assert torch.equal(first[:3], second[:3])
    assert (first[3:] != second[3:]).any(1).all()


def test_glimpses_are_averages_of_features_by_additive_attention() -> None:
    module = decoder()
    features = torch.randn(3, 9, 6)
    energy = module.score(torch.tanh(module.key(features) + module.query.bias))  # no state yet
    want = (energy.softmax(1) * features).sum(1)
    torch.testing.assert_close(module(features, torch.zeros(3, 1).long()).glimpses[:, 0], want)


def test_a_head_stands_before_the_generator_and_outside_the_state() -> None:
    module = decoder()
    features, tokens = torch.randn(3, 9, 6), torch.randint(0, 5, (3, 4))
    head = nn.Linear(8, 8)
    plain, headed = module(features, tokens), module(features, tokens, head=head)
    assert torch.equal(plain.hidden, headed.hidden)
    torch.testing.assert_close(headed.logits, module.generator(head(plain.hidden)))
    same = module.greedy(features, 4, head=nn.Identity())
    assert torch.equal(same.logits, module.greedy(features, 4).logits)
    free = module.greedy(features, 4, head=head)
    torch.testing.assert_close(free.logits, module.generator(head(free.hidden)))
