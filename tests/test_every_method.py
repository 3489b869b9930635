"""What holds for every trainable entry of the registry, found by walking it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from PIL import Image
from running import Run
from torch import Tensor, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from strbench import registry, rendered
from strbench.baselines.parts.quantiser import ProductQuantiser
from strbench.feeds import Item
from strbench.masks import EFFECT, IGNORED, TEXT
from strbench.methods import Batch, Method, PageBatch, PairBatch, WordBatch
from strbench.store import split_directory
from strbench.text import CHARSETS
from strbench.train import Objective

ENTRIES = [(kind, name) for kind in ("methods", "models") for name in registry.names(kind)]
WORDS = ["a", "word9", "longer7", "strbench", "go", "x1", "seven", "abc", "77", "hello", "tea", "q"]
every_entry = pytest.mark.parametrize(("kind", "name"), ENTRIES, ids=[n for _, n in ENTRIES])


@cache
def entry(kind: Any, name: str) -> Method:
    method: Method = registry.load(kind, name)
    return method


def still(method: Method) -> Any:
    """The smoke recipe in full precision and without dropout."""
    config = method.recipes["smoke"]
    rates = {f.name: 0.0 for f in fields(config) if "drop" in f.name}
    return replace(config, precision="fp32", **rates)


def drawn_words() -> list[rendered.Drawn]:
    return [
        rendered.draw_word(rendered.DEMO, 0, index, split="rendered_demo/train")
        for index in range(len(WORDS))
    ]


def stretched(drawn: list[rendered.Drawn], *, height: int, width: int) -> Tensor:
    """(B, 3, height, width) uint8."""
    images = [
        Image.fromarray(word.image).resize((width, height), Image.Resampling.BICUBIC)
        for word in drawn
    ]
    pixels = torch.stack([torch.from_numpy(np.array(image)) for image in images])  # (B, H, W, 3)
    return pixels.permute(0, 3, 1, 2).contiguous()


def batch_for(config: Any, method: Method) -> Batch:
    """What a method of this task is trained on, drawn by strbench."""
    if method.task == "recognition":
        return words_for(config, method)
    return pages_for(config, method) if method.task == "detection" else pairs_for(config, method)


@cache
def drawn_pages() -> tuple[rendered.Page, ...]:
    drawn = [rendered.draw("rendered_pages/train", index) for index in range(8)]
    return tuple(one for one in drawn if isinstance(one, rendered.Page))


def pages_for(config: Any, method: Method) -> PageBatch:
    """Windows of drawn pages, as the method's own feed makes them."""
    assert method.feed is not None
    items = [Item((page.image,), 1.0, page.regions) for page in drawn_pages()]
    feed = method.feed(config)
    batch = feed.batch(items, [None] * len(items), torch.arange(len(items)))
    assert isinstance(batch, PageBatch)
    return batch


def pairs_for(config: Any, method: Method) -> PairBatch:
    """Words and the same words smaller; or words and their dark pixels, with some of every mask value."""
    drawn = drawn_words()
    large = stretched(drawn, height=config.height, width=config.width)
    seeds = torch.arange(len(drawn))
    if method.task == "super-resolution":
        small = config.height // config.shrink, config.width // config.shrink
        return PairBatch(stretched(drawn, height=small[0], width=small[1]), large, seeds)
    grey = large.float().mean(1, keepdim=True)
    masks = (grey < grey.mean((2, 3), keepdim=True)).to(torch.uint8) * TEXT
    masks[:, :, :2], masks[:, :, -3:] = IGNORED, EFFECT
    return PairBatch(large, masks, seeds)


def words_for(config: Any, method: Method) -> WordBatch:
    """Words, every third without its label where the method takes such."""
    drawn = drawn_words()
    pixels = stretched(drawn, height=config.height, width=config.width)
    if not method.needs_images:
        pixels = pixels[:, :, :0, :0]
    labels: list[str | None] = [word.label for word in drawn]
    if config.unlabelled_batch_size:
        labels = [None if i % 3 == 2 else label for i, label in enumerate(labels)]
    elif not method.needs_labels:
        labels = [None] * len(labels)
    aspect = torch.tensor([word.image.shape[1] / word.image.shape[0] for word in drawn])
    return WordBatch(pixels, aspect, labels, torch.arange(len(drawn)))


def part(batch: Batch, rows: slice) -> Batch:
    return batch.part(rows, torch.device("cpu"))


def recognizers() -> list[str]:
    return [n for n in registry.names("models") if entry("models", n).task == "recognition"]


# --- what a stranger needs to know


@every_entry
def test_cards_are_complete_and_recipes_build(kind: str, name: str) -> None:
    method = entry(kind, name)
    card = method.card
    assert card.name == name
    assert all((card.title, card.licence, card.notes))
    assert (card.paper and "paper" in method.recipes) or "strbench's own" in card.notes
    assert card.recipes == tuple(method.recipes)
    assert {"small", "smoke"} <= set(method.recipes)
    assert card.parameters
    assert card.status != "registered"
    if method.reader is not None:
        assert card.charset in CHARSETS
    known = registry.names("methods") + registry.names("models")
    assert set(method.feeds) | set(method.parents) <= set(known)
    for config in method.recipes.values():
        with torch.device("meta"):
            module = method.build(config)
        assert sum(p.numel() for p in module.parameters()) > 0


@every_entry
def test_what_is_exported_fits_what_it_feeds(kind: str, name: str) -> None:
    method = entry(kind, name)
    with torch.device("meta"):
        exported = method.export(method.build(method.recipes["smoke"]))
    assert exported
    for fed in method.feeds:
        child = registry.load("models" if fed in registry.names("models") else "methods", fed)
        assert child.fresh is not None, fed


# --- the loop's demands


@every_entry
def test_views_and_loss_depend_on_images_seeds_and_labels_alone(kind: str, name: str) -> None:
    method = entry(kind, name)
    config = still(method)
    batch = batch_for(config, method)
    view = method.views(config)
    whole, first = view(batch), view(part(batch, slice(0, 5)))
    assert whole.keys() == first.keys()
    for key, value in whole.items():
        assert torch.equal(value[: len(first[key])], first[key]), key
    torch.manual_seed(0)
    module = method.build(config).train()
    if hasattr(module, "before_step"):
        module.before_step(0.0)
    with torch.no_grad():
        torch.manual_seed(1)
        losses = module.loss(whole)
    assert all(value.ndim == 0 and value.isfinite() for value in losses.values()), losses


@every_entry
def test_every_trained_weight_gets_a_gradient(kind: str, name: str) -> None:
    method = entry(kind, name)
    config = still(method)
    torch.manual_seed(0)
    module = method.build(config).train()
    if hasattr(module, "before_step"):
        module.before_step(0.0)
    module.loss(method.views(config)(batch_for(config, method)))["loss"].backward()
    for parameter, value in module.named_parameters():
        assert (value.grad is not None) == value.requires_grad, parameter
        assert value.grad is None or value.grad.isfinite().all(), parameter


# --- two ranks


def _lost(
    method: Method, config: Any, batch: Batch, wrap: Callable[[nn.Module], nn.Module]
) -> tuple[Tensor, dict[str, Tensor]]:
    torch.manual_seed(0)
    module = method.build(config).train().double()  # sums in another order, and nothing else
    for part_of in module.modules():
        if isinstance(part_of, nn.Dropout):
            part_of.p = 0.0
        if isinstance(part_of, ProductQuantiser):
            part_of.noisy = False
    if hasattr(module, "before_step"):
        module.before_step(0.0)
    torch.manual_seed(1)
    views = {
        key: value.double() if value.is_floating_point() else value
        for key, value in method.views(config)(batch).items()
    }
    wrapped = wrap(Objective(module))  # kept until the gradients are there: it reduces them
    loss = wrapped(views)["loss"]
    loss.backward()
    gradients = {n: p.grad for n, p in module.named_parameters() if p.grad is not None}
    return loss.detach(), gradients


def _rank(rank: int, folder: str, entries: list[tuple[str, str]]) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meet"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    for kind, name in entries:
        method = entry(kind, name)
        config = still(method)
        batch = part(batch_for(config, method), slice(rank, None, 2))
        found = _lost(method, config, batch, DistributedDataParallel)
        torch.save(found, f"{folder}/{name}.{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_give_the_loss_and_the_gradients_of_one(tmp_path: Path) -> None:
    start: Callable[..., object] = multiprocessing.spawn
    start(_rank, args=(str(tmp_path), ENTRIES), nprocs=2)
    for kind, name in ENTRIES:
        method = entry(kind, name)
        config = still(method)
        loss, gradients = _lost(method, config, batch_for(config, method), lambda module: module)
        ranks = [torch.load(tmp_path / f"{name}.{r}.pt", weights_only=True) for r in range(2)]
        share = (ranks[0][0] + ranks[1][0]) / 2
        torch.testing.assert_close(share, loss, rtol=1e-5, atol=1e-6, msg=f"{name}: loss")
        assert ranks[0][1].keys() == gradients.keys(), name
        for parameter, wanted in gradients.items():
            torch.testing.assert_close(
                ranks[0][1][parameter], wanted, rtol=1e-5, atol=1e-6, msg=f"{name}: {parameter}"
            )


# --- from the command line: pretrain, finetune, eval


def short(method: Method) -> list[str]:
    """The smoke recipe, two steps of it."""
    config = method.recipes["smoke"]
    changes = ["steps=2", "epochs=0", "batch_size=8", "warmup_steps=0"]
    if config.unlabelled_batch_size:
        changes.append("unlabelled_batch_size=4")
    return [word for change in changes for word in ("--set", change)]


def trained(run: Run, kind: str, name: str, made: dict[str, str], *parents: str) -> str:
    """The name of a finished short run of an entry, and of what it starts from."""
    method = entry(kind, name)
    started = [word for parent in parents for word in ("--from", parent)]
    for needed in method.parents[:1] if not parents else ():
        if needed not in made:
            of = "models" if needed in registry.names("models") else "methods"
            made[needed] = trained(run, of, needed, made)
        started += ["--from", made[needed]]
    if not started and kind == "models":
        started = ["--from", "scratch"]
    verb = "pretrain" if kind == "methods" else "finetune"
    outcome = run(verb, name, *started, "--recipe", "smoke", *short(method), "--json")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    return str(document["name"])


def test_pretrain_finetune_eval_of_every_method_and_recognizer(run: Run, home: Path) -> None:
    for split, n in (("rendered_demo/train", 32), ("rendered_demo_regular/test", 6)):
        rendered.prepare(split, home / "data", n=n)
    assert split_directory("rendered_demo/train").is_dir()
    made: dict[str, str] = {}
    read: set[str] = set()
    for name in registry.names("methods"):
        if entry("methods", name).task != "recognition":
            continue
        if name not in made:
            made[name] = trained(run, "methods", name, made)
        method = entry("methods", name)
        assert method.feeds or method.reader is not None, name
        children = [
            trained(run, "models", fed, made, made[name])
            for fed in method.feeds
            if fed in recognizers()
        ]
        read.update(children)
        if method.reader is not None:
            read.add(made[name])
    scratch = {name: trained(run, "models", name, made) for name in recognizers()}
    read.update(scratch.values())
    for name in registry.names("methods"):
        for start in entry("methods", name).starts:
            read.add(trained(run, "methods", name, made, scratch[start]))
            for feeder in registry.names("methods"):
                if start in entry("methods", feeder).feeds and not entry("methods", feeder).reader:
                    read.add(trained(run, "methods", name, made, made[feeder]))
    stages = made["semimtr-vision"], made["abinet-language"]
    read.add(trained(run, "methods", "semimtr", made, *stages))
    models = [word for name in sorted(read) for word in ("--model", name)]
    outcome = run("eval", *models, "--data", "rendered_demo_regular/test", "--json")
    assert outcome.code == 0, outcome.err
    # the set of six words is not the standard one of 500, and every model read each of them
    for name in read:
        assert (home / "predictions" / name).is_dir(), name


def detectors() -> list[str]:
    return [n for n in registry.names("models") if entry("models", n).task == "detection"]


def test_pretrain_finetune_eval_of_every_detector(run: Run, home: Path) -> None:
    for split, n in (("rendered_pages/train", 12), ("rendered_pages/test", 2)):
        rendered.prepare(split, home / "data", n=n)
    made: dict[str, str] = {}
    models = [trained(run, "models", name, made) for name in detectors()]
    for name in registry.names("methods"):
        if entry("methods", name).task != "detection":
            continue
        made[name] = trained(run, "methods", name, made)
        models += [
            trained(run, "models", fed, made, made[name]) for fed in entry("methods", name).feeds
        ]
    assert len(set(models)) == len(models) >= len(detectors())
    chosen = [word for name in models for word in ("--model", name)]
    outcome = run("eval", *chosen, "--data", "rendered_pages/test", "--json")
    assert outcome.code == 0, outcome.err
    for record in json.loads(outcome.out):
        (score,) = record["scores"]
        assert set(score["figures"]) == {"precision", "recall", "hmean"}
        assert score["n"] == 2


def test_pretrain_finetune_eval_of_everything_that_makes_images(run: Run, home: Path) -> None:
    tests = {"super-resolution": "rendered_pairs_easy/test", "segmentation": "rendered_masks/test"}
    for split in ("rendered_demo/train", "rendered_pairs/train", "rendered_masks/train"):
        rendered.prepare(split, home / "data", n=16)
    for split in tests.values():
        rendered.prepare(split, home / "data", n=4)
    made: dict[str, str] = {}
    models: dict[str, list[str]] = {task: [] for task in tests}
    for name in registry.names("models"):
        if entry("models", name).task in tests:
            models[entry("models", name).task].append(trained(run, "models", name, made))
    for name in registry.names("methods"):
        if entry("methods", name).task == "detection":
            continue
        for fed in entry("methods", name).feeds:
            task = entry("models", fed).task if fed in registry.names("models") else ""
            if task in tests:
                if name not in made:
                    made[name] = trained(run, "methods", name, made)
                models[task].append(trained(run, "models", fed, made, made[name]))
    for task, names in models.items():
        assert len(set(names)) == len(names) > 1
        chosen = [word for name in names for word in ("--model", name)]
        outcome = run("eval", *chosen, "--data", tests[task], "--json")
        assert outcome.code == 0, outcome.err
        for record in json.loads(outcome.out):
            (score,) = record["scores"]
            figures = {"psnr", "ssim"} if task == "super-resolution" else {"word_crop_iou"}
            assert set(score["figures"]) == figures
            assert score["n"] == 4


# --- learning


def overfitted(
    method: Method, config: Any, words: Mapping[str, Tensor], *, steps: int
) -> nn.Module:
    torch.manual_seed(0)
    module = method.build(config).train()
    optimiser = torch.optim.AdamW(
        [p for p in module.parameters() if p.requires_grad], lr=2e-3, weight_decay=0.0
    )
    for step in range(steps):
        if hasattr(module, "before_step"):
            module.before_step(step / steps)
        optimiser.zero_grad()
        module.loss(words)["loss"].backward()
        nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimiser.step()
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name", recognizers())
def test_every_recognizer_learns_a_small_batch_by_heart(name: str) -> None:
    method = entry("models", name)
    config = still(method)
    if hasattr(config, "augmentation"):
        config = replace(config, augmentation="plain")
    batch = words_for(config, method)
    module = overfitted(method, config, method.views(config)(batch), steps=300)
    assert method.reader is not None
    texts = [text for text, _ in method.reader(module, config)(batch.images.float() / 255)]
    assert texts == batch.labels
