"""Mean Teacher: the average's arithmetic, the consistency term, and who gets gradients."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from strbench.baselines.parts import teachers, trba_recognizer
from strbench.baselines.parts.trba_recognizer import STEPS
from strbench.baselines.semisup.mean_teacher import MEAN_TEACHER, Config
from strbench.methods import WordBatch, inherit

STUDENTS = {
    "trba": {"transform": "tps", "features": "resnet", "decoder": "attention"},
    "crnn": {"transform": "none", "features": "vgg", "decoder": "ctc"},
}
BOTH: list[str | None] = ["word", None, "two", "three", None]


def config_of(student: str = "trba", **changes: object) -> Config:
    """The published recipe, narrow."""
    options = {"size": "micro", "width": 64, "augmentation": "mild", **STUDENTS[student], **changes}
    config: Config = replace(MEAN_TEACHER.recipes["paper"], **options)
    return config


def batch_of(labels: list[str | None], seed: int = 0) -> WordBatch:
    """Soft pictures, each its own."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(len(labels), 3, 4, 8, generator=generator)
    images = nn.functional.interpolate(coarse, (32, 64), mode="bilinear") * 255
    return WordBatch(
        images.to(torch.uint8), torch.full((len(labels),), 3.0), labels, torch.arange(len(labels))
    )


def built(config: Config, *, started: bool = True) -> Any:
    torch.manual_seed(0)
    module = MEAN_TEACHER.build(config).train()
    if started:
        module.before_step(0.0)
    return module


def views_of(config: Config, labels: list[str | None] = BOTH) -> dict[str, Tensor]:
    return MEAN_TEACHER.views(config)(batch_of(labels))


def test_parameters_as_in_str_fewer_labels() -> None:
    with torch.device("meta"):
        module = MEAN_TEACHER.build(MEAN_TEACHER.recipes["paper"])
    counts = MEAN_TEACHER.card.parameters
    trainable = sum(p.numel() for p in module.parameters() if p.requires_grad)
    assert trainable == counts["full trainable"] == 49_821_163
    assert sum(p.numel() for p in module.parameters()) == counts["full"] == 2 * 49_821_163


def test_the_average_is_true_at_first_and_then_exponential() -> None:
    module = built(config_of("crnn"), started=False)
    decays = [module.decay_at(step) for step in (1, 9, 998, 999, 5000)]
    assert decays == pytest.approx([0.5, 0.9, 998 / 999, 0.999, 0.999])
    student = module.decoder.weight
    teacher = module.teacher.decoder.weight
    start = student.detach().clone()
    module.before_step(0.0)
    assert torch.equal(teacher, start)
    with torch.no_grad():
        student.add_(1.0)
    module.before_step(0.1)
    # step 2: a third of the way
    assert torch.allclose(teacher, start + 1 / 3, atol=1e-6)
    module.before_step(0.2)
    assert torch.allclose(teacher, start + 1 / 3 + 2 / 3 / 4, atol=1e-6)


def test_a_resumed_run_counts_on() -> None:
    module = built(config_of("crnn"))
    for _ in range(3):
        module.before_step(0.0)
    resumed = built(config_of("crnn"), started=False)
    resumed.load_state_dict(module.state_dict())
    for one in (module, resumed):
        with torch.no_grad():
            one.decoder.weight.add_(1.0)
        one.before_step(0.5)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


@pytest.mark.parametrize("student", STUDENTS)
def test_the_teacher_trains_its_statistics_and_nothing_else(student: str) -> None:
    config = config_of(student)
    module = built(config)
    name = "features.3.1.running_mean" if student == "crnn" else "features.0.1.running_mean"
    before = {n: b.clone() for n, b in module.named_buffers()}
    module.loss(views_of(config))["loss"].backward()
    module.before_step(0.5)
    after = dict(module.named_buffers())
    for part in (f"encoder.{name}", f"teacher.encoder.{name}"):
        assert not torch.equal(after[part], before[part])
    assert not torch.equal(after[f"encoder.{name}"], after[f"teacher.encoder.{name}"])
    counted = name.replace("running_mean", "num_batches_tracked")
    assert after[f"encoder.{counted}"] == 2  # a pass over each kind
    assert after[f"teacher.encoder.{counted}"] == 1  # one over both
    for parameter, value in module.named_parameters():
        assert (value.grad is None) == parameter.startswith("teacher."), parameter


def test_two_views_and_their_partition() -> None:
    config = config_of()
    views = views_of(config)
    assert views["images"].shape == views["teacher_images"].shape == (3, 3, 32, 64)
    assert views["unlabelled"].shape == views["teacher_unlabelled"].shape == (2, 3, 32, 64)
    assert not torch.equal(views["images"], views["teacher_images"])
    assert not torch.equal(views["unlabelled"], views["teacher_unlabelled"])
    again = views_of(config)
    assert all(torch.equal(view, again[name]) for name, view in views.items())
    plain = views_of(replace(config, augmentation="plain"))
    assert torch.equal(plain["unlabelled"], plain["teacher_unlabelled"])
    alone = MEAN_TEACHER.views(config)(WordBatch(*(part[1:2] for part in batch_of(BOTH))))
    assert torch.equal(alone["unlabelled"], views["unlabelled"][:1])
    assert torch.equal(alone["teacher_unlabelled"], views["teacher_unlabelled"][:1])


def test_the_losses_of_attention() -> None:
    """The student is told labelled words; the teacher and every unlabelled image are read freely."""
    config = config_of()
    module = built(config)
    views = views_of(config)
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    losses = module.loss(views)
    assert losses["supervised"].item() == pytest.approx(math.log(99), rel=0.05)
    module.load_state_dict(state)
    with torch.no_grad():
        told = module(views["images"], views["tokens"][:, :-1]).logits
        free = module(views["unlabelled"]).logits
        both = torch.cat([views["teacher_images"], views["teacher_unlabelled"]])
        teacher = module.teacher(both).logits
    apart = torch.cat([told, free]).softmax(-1) - teacher.softmax(-1)
    assert apart.shape == (5, STEPS, 99)
    assert losses["consistency"].item() == pytest.approx(apart.square().mean().item(), rel=1e-4)
    assert losses["loss"].item() == pytest.approx(
        losses["supervised"].item() + losses["consistency"].item(), rel=1e-6
    )
    untold = module(views["images"]).logits
    assert not torch.allclose(untold, told)


def test_no_difference_where_both_see_and_are_the_same() -> None:
    config = config_of("crnn", augmentation="plain")
    module = built(config)
    losses = module.loss(views_of(config, [None] * 4))
    assert losses["consistency"] < 1e-12


@pytest.mark.parametrize("student", STUDENTS)
def test_unlabelled_images_teach_the_student_alone(student: str) -> None:
    config = config_of(student)
    module = built(config)
    with torch.no_grad():
        for parameter in module.teacher.parameters():
            parameter.mul_(1.1)
    losses = module.loss(views_of(config, [None] * 4))
    assert losses["supervised"] == 0
    assert losses["loss"] > 0
    losses["loss"].backward()
    decoder = module.decoder
    last = decoder.generator if student == "trba" else decoder
    assert last.weight.grad.abs().max() > 0
    assert module.encoder.features[0][0].weight.grad.abs().max() > 0
    only = module.loss(views_of(config, ["word", "two", "three"]))
    assert all(value.isfinite() for value in only.values())
    nothing = module.loss(views_of(config, ["", "", "x" * 30]))
    assert nothing["supervised"] == 0
    assert nothing["unusable"] == 1
    assert all(value.isfinite() for value in nothing.values())


def test_it_may_start_from_a_recognizer_and_gives_one() -> None:
    config = config_of("crnn")
    parent = trba_recognizer.build(config)
    module = built(config, started=False)
    assert MEAN_TEACHER.fresh is not None
    inherit(module, {"crnn": dict(parent.state_dict())}, fresh=MEAN_TEACHER.fresh)
    module.before_step(0.0)
    taught = module.teacher.state_dict()
    assert all(torch.equal(taught[name], p) for name, p in parent.named_parameters())
    exported = MEAN_TEACHER.export(module)
    assert exported.keys() == parent.state_dict().keys()
    assert torch.equal(exported["decoder.weight"], module.decoder.weight)
    built(config).load_state_dict(exported)


def test_a_moving_average_follows_by_name() -> None:
    one, other = nn.Linear(2, 1), nn.Sequential()
    other.bias, other.weight = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1, 2))
    other.more = nn.Parameter(torch.ones(3))
    nn.init.zeros_(one.weight)
    nn.init.zeros_(one.bias)
    teachers.follow(one, other, 0.99)
    assert torch.allclose(one.weight, torch.full((1, 2), 0.01))
    assert torch.allclose(one.bias, torch.full((1,), 0.01))
