"""MoCo as STR-Fewer-Labels trains it: views, queue, key network, loss, resuming."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, multiprocessing, nn

from strbench.baselines.parts import views_strfl
from strbench.baselines.parts.views import plain
from strbench.baselines.pretrain.moco import MOCO, MOCO_RESNET, MoCo
from strbench.baselines.recognition.crnn import CRNN
from strbench.baselines.recognition.trba import TRBA
from strbench.errors import StrbenchError
from strbench.methods import Method, WordBatch, inherit

B = 8


def word_batch(n: int = B, *, aspect: float = 3.0, seed: int = 0) -> WordBatch:
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(n, 3, 4, 12, generator=generator)
    images = (nn.functional.interpolate(small, (32, 100), mode="bilinear") * 255).byte()
    return WordBatch(images, torch.full((n,), aspect), [None] * n, torch.arange(n) + 1000 * seed)


def built(method: Method = MOCO, **changes: object) -> MoCo:
    torch.manual_seed(0)
    options = {"queue": 20, "batch_size": B, "dim": 16, **changes}
    module = method.build(replace(method.recipes["smoke"], **options)).train()
    assert isinstance(module, MoCo)
    return module


def view_of(seed: int = 0, n: int = B) -> dict[str, Tensor]:
    return MOCO.views(MOCO.recipes["smoke"])(word_batch(n, seed=seed))


def unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(("method", "one"), [(MOCO, 5_616_640), (MOCO_RESNET, 44_330_144)])
def test_published_numbers_of_parameters(method: Method, one: int) -> None:
    with torch.device("meta"):
        module = method.build(method.recipes["paper"])
    counts = {p: sum(x.numel() for x in getattr(module, p).parameters()) for p in ("query", "key")}
    assert counts == {"query": one, "key": one}
    assert method.card.parameters == {"full": 2 * one, "full trainable": one}
    assert module.queue.shape == (65_536, 128)


def test_paper_recipe_holds_the_released_values() -> None:
    paper = MOCO.recipes["paper"]
    assert (paper.optimiser, paper.lr, paper.momentum) == ("sgd", 0.03, 0.9)
    assert (paper.weight_decay, paper.clip_norm, paper.batch_size) == (1e-4, 5.0, 256)
    assert (paper.milestones, paper.decay, paper.steps) == ((0.6, 0.8), 0.1, 200_000)
    assert (paper.queue, paper.dim, paper.key_momentum) == (65_536, 128, 0.999)
    assert (paper.temperature, paper.transfer) == (0.07, "parameters")


# --- views


def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """No colours, no flip: what is left is the crop."""
    monkeypatch.setattr(views_strfl.augment, "color_jitter", lambda images, *_: images)
    monkeypatch.setattr(
        views_strfl.draws, "chance", lambda seeds, *_: torch.zeros(len(seeds), dtype=torch.bool)
    )


def crops(n: int, *, aspect: float) -> tuple[Tensor, ...]:
    """Left, top, width and height (n,) of the crops, in shares of the image, as the pictures show them."""
    found = []
    for axis, size in ((3, 100), (2, 32)):
        values = torch.linspace(0, 255, size).round().to(torch.uint8)
        picture = (
            (values[None] if axis == 3 else values[:, None]).expand(n, 3, 32, 100).contiguous()
        )
        batch = WordBatch(picture, torch.full((n,), aspect), [None] * n, torch.arange(n))
        out = views_strfl.moco_crop(batch)[:, 0]
        line = out[:, 16] if axis == 3 else out[:, :, 50]
        # read at the inner half, where no border is repeated; centres run from 0.5 / size on
        low, high = line[:, size // 4], line[:, 3 * size // 4]
        length = (high - low) / (2 * (size // 4) / size) * (size - 1) / size
        start = (low * (size - 1) + 0.5) / size - length * (size // 4 + 0.5) / size
        found.append((start, length))
    (left, width), (top, height) = found
    return left, top, width, height


def test_crops_of_square_images(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch)
    left, top, width, height = crops(600, aspect=1.0)
    area, ratio = width * height, width / height
    assert 0.19 < area.min() < 0.25
    assert 0.9 < area.max() < 1.01
    assert 0.73 < ratio.min() < 0.8
    assert 1.25 < ratio.max() < 1.36
    for start, length in ((left, width), (top, height)):
        place = (start / (1 - length))[length < 0.8]
        assert place.min() > -0.02
        assert place.max() < 1.02
        assert place.mean().item() == pytest.approx(0.5, abs=0.06)


def attempted(aspect: float, rng: random.Random) -> bool:
    """Whether one of torchvision's ten attempts at a crop fits an image of this width / height."""
    for _ in range(10):
        area = aspect * rng.uniform(0.2, 1.0)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        if math.sqrt(area * ratio) <= aspect and math.sqrt(area / ratio) <= 1:
            return True
    return False


@pytest.mark.parametrize("aspect", [2.5, 4.0, 5.0])
def test_words_often_fall_back_to_the_centre(
    aspect: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    still(monkeypatch)
    left, _, width, height = crops(600, aspect=aspect)
    central = (height > 0.99) & ((left - (1 - width) / 2).abs() < 0.005)
    central &= (width * aspect - 4 / 3).abs() < 0.03
    rng = random.Random(0)
    expected = 1 - sum(attempted(aspect, rng) for _ in range(4000)) / 4000
    assert central.double().mean().item() == pytest.approx(expected, abs=0.07)


def test_the_longest_and_the_tallest_are_always_cut_at_the_centre(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    still(monkeypatch)
    left, top, width, height = crops(50, aspect=8.0)
    torch.testing.assert_close(width, torch.full((50,), 4 / 3 / 8), atol=4e-3, rtol=0)
    torch.testing.assert_close(left, (1 - width) / 2, atol=4e-3, rtol=0)
    torch.testing.assert_close(height, torch.ones(50), atol=6e-3, rtol=0)
    left, top, width, height = crops(50, aspect=0.1)
    torch.testing.assert_close(width, torch.ones(50), atol=6e-3, rtol=0)
    torch.testing.assert_close(height, torch.full((50,), 0.1 / 0.75), atol=8e-3, rtol=0)
    torch.testing.assert_close(top, (1 - height) / 2, atol=8e-3, rtol=0)


def test_flips_and_grays() -> None:
    n = 800
    values = torch.linspace(0, 255, 100).round().to(torch.uint8)
    picture = torch.stack((values, values // 2, values // 3)).view(1, 3, 1, 100)
    batch = WordBatch(
        picture.expand(n, 3, 32, 100).contiguous(),
        torch.full((n,), 3.0),
        [None] * n,
        torch.arange(n),
    )
    out = views_strfl.moco_crop(batch)
    spread = out.amax(1) - out.amin(1)
    assert (spread.amax((1, 2)) < 1e-5).double().mean().item() == pytest.approx(0.2, abs=0.05)
    tilt = out.mean(1)[:, :, 70:].mean((1, 2)) - out.mean(1)[:, :, :30].mean((1, 2))
    assert (tilt < 0).double().mean().item() == pytest.approx(0.5, abs=0.06)


def test_jitter_changes_brightness_by_up_to_four_tenths(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def note(images: Tensor, factors: Tensor, turns: Tensor) -> Tensor:
        seen.append((factors, turns))
        return images

    monkeypatch.setattr(views_strfl.augment, "color_jitter", note)
    views_strfl.moco_crop(word_batch(500))
    factors, turns = seen[0]
    low, high = factors.amin(0), factors.amax(0)
    torch.testing.assert_close(low, low.new_tensor([0.6, 0.6, 0.6, -0.4]), atol=0.01, rtol=0)
    torch.testing.assert_close(high, high.new_tensor([1.4, 1.4, 1.4, 0.4]), atol=0.01, rtol=0)
    assert (turns.sort(1).values == torch.arange(4)).all()


def test_query_and_key_are_two_draws() -> None:
    view = view_of()
    assert view["query"].shape == view["key"].shape == (B, 3, 32, 100)
    assert not torch.equal(view["query"], view["key"])
    assert view["query"].min() < -0.2
    expected = views_strfl.moco_crop(word_batch(), draw=1) * 2 - 1
    torch.testing.assert_close(view["key"], expected)
    assert not torch.equal(expected, plain(word_batch()) * 2 - 1)


# --- loss and queue


def test_loss_is_the_cross_entropy_of_the_own_key_among_the_queue() -> None:
    module, batch = built(), view_of()
    waiting = module.queue.clone()
    assert torch.allclose(waiting.norm(dim=1), torch.ones(20))
    found = module.loss(batch)
    with torch.no_grad():
        queries, keys = unit(module.query(batch["query"])), unit(module.key(batch["key"]))
        own = (queries * keys).sum(1).div(0.07).exp()
        others = (queries @ waiting.T).div(0.07).exp().sum(1)
    assert found["loss"].item() == pytest.approx(
        -(own / (own + others)).log().mean().item(), rel=1e-4
    )
    assert found["loss"] <= math.log(21)  # ln(1 + K)


@pytest.mark.parametrize("method", [MOCO, MOCO_RESNET], ids=["vgg", "resnet"])
def test_initial_loss_is_below_that_of_unrelated_keys(method: Method) -> None:
    module = built(method, queue=4096, dim=128)
    loss = module.loss(view_of())
    assert 0 < loss["loss"] < math.log(4097)
    assert loss["accuracy"] > 0.7  # two views of a word are alike; the queue is random
    assert loss["feature_std"] > 0.1


def test_keys_replace_the_oldest_and_wrap_around() -> None:
    module = built()
    before = module.queue.clone()
    added = []
    for step in range(3):
        module.before_step(step / 3)
        module.loss(view_of(step))
        with torch.no_grad():  # batch statistics, so the same keys again
            added.append(unit(module.key(view_of(step)["key"])))
        if step == 0:
            assert torch.equal(module.queue[B:], before[B:])
    assert module.queue_at.item() == 24 % 20
    first, second, third = added
    torch.testing.assert_close(module.queue[4:8], first[4:])
    torch.testing.assert_close(module.queue[8:16], second)
    torch.testing.assert_close(module.queue[16:], third[:4])
    torch.testing.assert_close(module.queue[:4], third[4:])


def test_a_queue_shorter_than_a_batch_is_refused() -> None:
    with pytest.raises(StrbenchError, match="queue"):
        built(queue=7)


def test_gradients_reach_the_query_network_alone() -> None:
    module = built()
    module.loss(view_of())["loss"].backward()
    assert all(p.grad is not None for p in module.query.parameters())
    assert module.query.encoder.features[0][0].weight.grad.any()
    assert all(p.grad is None and not p.requires_grad for p in module.key.parameters())
    assert module.queue.grad_fn is None
    assert not module.queue.requires_grad


def test_key_network_follows() -> None:
    module = built(key_momentum=0.999)
    pairs = list(zip(module.key.parameters(), module.query.parameters(), strict=True))
    assert all(torch.equal(key, query) for key, query in pairs)
    with torch.no_grad():
        for key, query in pairs:
            key.zero_()
            query.fill_(1.0)
    module.before_step(0.3)
    for key, _ in pairs:
        torch.testing.assert_close(key, torch.full_like(key, 0.001), rtol=1e-3, atol=0)


def test_batchnorm_buffers_of_the_keys_come_from_the_keys() -> None:
    module = built(MOCO_RESNET)
    module.loss(view_of())
    state = module.state_dict()
    means = [n for n in state if n.startswith("key.") and n.endswith("running_mean")]
    assert means
    assert all(state[n].any() for n in means)
    before = {n: state[n].clone() for n in means}
    assert any(not torch.equal(before[n], state["query" + n[3:]]) for n in means)
    module.before_step(0.5)
    assert all(torch.equal(module.state_dict()[n], before[n]) for n in means)


def steps(module: MoCo, optimiser: torch.optim.Optimizer, numbers: range) -> list[float]:
    losses = []
    for step in numbers:
        module.before_step(step / 10)
        loss = module.loss(view_of(step))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def test_a_resumed_run_goes_on_exactly() -> None:
    module = built()
    optimiser = torch.optim.SGD(module.query.parameters(), lr=0.01, momentum=0.9)
    steps(module, optimiser, range(3))
    saved = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    momentum = copy.deepcopy(optimiser.state_dict())
    again = built(MOCO)
    with torch.no_grad():
        for tensor in again.state_dict().values():
            tensor.zero_()
    again.load_state_dict(saved)
    resumed = torch.optim.SGD(again.query.parameters(), lr=0.01, momentum=0.9)
    resumed.load_state_dict(momentum)
    assert steps(module, optimiser, range(3, 6)) == steps(again, resumed, range(3, 6))
    assert torch.equal(module.queue, again.queue)
    assert module.queue_at == again.queue_at


@torch.no_grad()
def gap(module: MoCo) -> tuple[float, float]:
    """How much more alike two views of a word are than views of two words, and the share told apart."""
    queries, keys = (
        unit(net(view_of()[n])) for net, n in ((module.query, "query"), (module.key, "key"))
    )
    alike = queries @ keys.T
    others = (alike.sum() - alike.trace()) / (B * (B - 1))
    right = alike.argmax(1) == torch.arange(B)
    return (alike.trace() / B - others).item(), right.double().mean().item()


def test_it_learns_to_tell_words_apart() -> None:
    module = built(queue=64, key_momentum=0.98)
    optimiser = torch.optim.AdamW(module.query.parameters(), lr=1e-3)
    before, _ = gap(module)
    for step in range(40):
        module.before_step(step / 40)
        found = module.loss(view_of())
        optimiser.zero_grad()
        found["loss"].backward()
        optimiser.step()
        assert found["feature_std"] > 0.05
    after, accuracy = gap(module)
    assert accuracy == 1
    assert after > before + 0.25


# --- ranks


def _a_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meet"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    module = built().double()
    half = slice(4 * rank, 4 * rank + 4)
    loss = module.loss({name: view[half].double() for name, view in view_of().items()})["loss"]
    torch.save((loss.detach(), module.queue, module.queue_at), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_ranks_fill_one_queue(tmp_path: Path) -> None:
    start: Callable[..., object] = multiprocessing.spawn
    start(_a_rank, args=(str(tmp_path),), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    module = built().double()
    loss = module.loss({name: view.double() for name, view in view_of().items()})["loss"]
    torch.testing.assert_close((ranks[0][0] + ranks[1][0]) / 2, loss.detach())
    for _, queue, at in ranks:
        torch.testing.assert_close(queue, module.queue)
        assert at == 8


# --- what is handed on


@pytest.mark.parametrize(("method", "child"), [(MOCO, CRNN), (MOCO_RESNET, TRBA)])
def test_the_query_encoder_is_handed_on(method: Method, child: Method) -> None:
    parent = built(method)
    with torch.no_grad():
        for parameter in parent.key.parameters():
            parameter.fill_(7.0)
    exported = method.export(parent)
    assert child.fresh is not None
    module = child.build(replace(child.recipes["smoke"], size="micro", channels=3))
    inherit(module, {"parent": exported}, fresh=child.fresh)
    own = module.state_dict()
    for name, tensor in parent.query.encoder.state_dict().items():
        assert torch.equal(own[f"encoder.{name}"], tensor)


def test_transfer_of_parameters_leaves_batchnorm_statistics_behind() -> None:
    module = built(MOCO_RESNET, transfer="parameters")
    module.loss(view_of())
    exported = MOCO.export(module)
    means = [name for name in exported if name.endswith("running_mean")]
    assert means
    assert not any(exported[name].any() for name in means)
    module.config = replace(module.config, transfer="all")
    assert all(MOCO.export(module)[name].any() for name in means)
