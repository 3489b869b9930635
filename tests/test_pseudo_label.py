"""Pseudo-Label: what is a pseudo-label, who teaches, who learns, and that it works."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from strbench import rendered
from strbench.baselines.parts import trba_recognizer
from strbench.baselines.parts.trba_recognizer import (
    MAX_LABEL,
    STEPS,
    AttentionRecognizer,
    layout_of,
)
from strbench.baselines.semisup.pseudo_label import (
    PSEUDO_LABEL,
    Config,
    PseudoLabel,
    PseudoLabelCTC,
    spelled,
)
from strbench.errors import StrbenchError
from strbench.methods import WordBatch, inherit

STUDENTS = {
    "trba": {"transform": "tps", "features": "resnet", "decoder": "attention"},
    "crnn": {"transform": "none", "features": "vgg", "decoder": "ctc"},
}


def config_of(student: str = "trba", **changes: object) -> Config:
    """The published recipe, narrow."""
    options = {"size": "micro", "width": 64, "augmentation": "mild", **STUDENTS[student], **changes}
    config: Config = replace(PSEUDO_LABEL.recipes["paper"], **options)
    return config


def words(labels: list[str | None], *, width: int = 64, seed: int = 0) -> WordBatch:
    """Words as strbench draws them; labels that are strings are the drawn ones."""
    drawn = [
        rendered.draw_word(rendered.DEMO, seed, i, split="rendered_demo/train")
        for i in range(len(labels))
    ]
    pictures = [
        Image.fromarray(w.image).resize((width, 32), Image.Resampling.BICUBIC) for w in drawn
    ]
    pixels = torch.stack([torch.from_numpy(np.array(picture)) for picture in pictures])
    aspect = torch.tensor([w.image.shape[1] / w.image.shape[0] for w in drawn])
    own = [None if label is None else word.label for label, word in zip(labels, drawn, strict=True)]
    return WordBatch(
        pixels.permute(0, 3, 1, 2).contiguous(), aspect, own, torch.arange(len(labels))
    )


MIXED: list[str | None] = ["", None, "", "", None, None]


def built(config: Config) -> Any:
    torch.manual_seed(0)
    return PSEUDO_LABEL.build(config).train()


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def tensors(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_parameters_as_in_str_fewer_labels() -> None:
    paper = PSEUDO_LABEL.recipes["paper"]
    with torch.device("meta"):
        trba = PSEUDO_LABEL.build(paper)
        crnn = PSEUDO_LABEL.build(replace(paper, **STUDENTS["crnn"]))
    assert count(trba) == PSEUDO_LABEL.card.parameters["full trainable"] == 49_821_163
    assert sum(p.numel() for p in trba.parameters()) == PSEUDO_LABEL.card.parameters["full"]
    assert count(crnn) == 8_468_450


@pytest.mark.parametrize("student", STUDENTS)
def test_the_teacher_is_what_was_loaded(student: str) -> None:
    module = built(config_of(student, start="parent"))
    loaded = tensors(module)
    module.before_step(0.0)
    now = tensors(module)
    for name, tensor in loaded.items():
        if name.startswith(("encoder.", "decoder.")):
            assert torch.equal(now[f"teacher.{name}"], tensor)
            assert torch.equal(now[name], tensor)


def test_a_drawn_student_starts_afresh_and_the_same_on_every_rank() -> None:
    students = []
    for rank in range(2):
        module = built(config_of("crnn"))
        loaded = tensors(module)
        torch.manual_seed(1000 + rank)  # the loop seeds each step by rank
        state = torch.get_rng_state()
        module.before_step(0.0)
        assert torch.equal(torch.get_rng_state(), state)
        students.append(tensors(module))
        assert torch.equal(students[-1]["teacher.decoder.weight"], loaded["decoder.weight"])
        assert not torch.equal(students[-1]["decoder.weight"], loaded["decoder.weight"])
        scale = students[-1]["decoder.weight"].std() / loaded["decoder.weight"].std()
        assert 0.9 < scale < 1.1
    assert all(torch.equal(students[0][name], tensor) for name, tensor in students[1].items())
    torch.manual_seed(1)
    other = PSEUDO_LABEL.build(config_of("crnn")).train()
    other.before_step(0.0)
    assert not torch.equal(tensors(other)["decoder.weight"], students[0]["decoder.weight"])


def test_a_resumed_run_keeps_its_teacher_and_its_student() -> None:
    module = built(config_of("crnn"))
    module.before_step(0.0)
    saved = tensors(module)
    resumed = built(config_of("crnn"))
    resumed.load_state_dict(saved)
    resumed.before_step(0.5)
    assert all(torch.equal(tensors(resumed)[name], tensor) for name, tensor in saved.items())


def test_the_teacher_stands_still_and_evaluates() -> None:
    module = built(config_of("crnn", start="parent"))
    batch = PSEUDO_LABEL.views(config_of("crnn"))(words(MIXED))
    module.before_step(0.0)
    before = tensors(module)
    module.loss(batch)["loss"].backward()
    module.before_step(0.5)
    after = tensors(module)
    assert all(torch.equal(after[n], t) for n, t in before.items() if n.startswith("teacher."))
    assert not torch.equal(
        after["encoder.features.3.1.running_mean"], before["encoder.features.3.1.running_mean"]
    )
    assert not any(part.training for part in module.teacher.modules())
    for name, parameter in module.named_parameters():
        assert (parameter.grad is None) == name.startswith("teacher."), name


def test_it_begins_at_the_entropy_of_the_classes() -> None:
    config = config_of(start="parent")
    module = built(config)
    module.before_step(0.0)
    losses = module.loss(PSEUDO_LABEL.views(config)(words(MIXED)))
    assert losses["supervised"].item() == pytest.approx(math.log(99), rel=0.05)
    assert losses["loss"].item() == pytest.approx(
        losses["supervised"].item() + losses["pseudo"].item(), rel=1e-5
    )


def logits_of(*readings: list[int], classes: int = 99, steps: int = STEPS) -> Tensor:
    """Logits whose likeliest classes are these, the last of them repeated to the end."""
    rows = [reading + [reading[-1]] * (steps - len(reading)) for reading in readings]
    return 20.0 * nn.functional.one_hot(torch.tensor(rows), classes).float()


def test_pseudo_labels_of_attention() -> None:
    layout = layout_of(config_of())
    padding, unknown, go, end, space = range(5)
    a, b, c = 5, 6, 7
    taught, confidences = spelled(
        logits_of(
            [a, b, end],
            [a, padding, end],
            [a, b, end, c, padding, c],  # behind the end, and dropped all the same
            [unknown, end],
            [a, go, end],
            [end],  # empty, and kept
            [a, space, b, end],
            [a, b],  # no end: cut to 25 characters
        ),
        layout,
    )
    assert taught["usable"].tolist() == [True, False, False, False, False, True, True, True]
    tokens = taught["tokens"]
    assert tokens.shape == (8, MAX_LABEL + 2)
    assert tokens[:, 0].eq(go).all()
    assert tokens[0, 1:5].tolist() == [a, b, end, padding]
    assert tokens[5, 1:3].tolist() == [end, padding]
    assert tokens[6, 1:6].tolist() == [a, space, b, end, padding]
    assert tokens[7, 1:].tolist() == [a, *[b] * 24, end]
    assert not tokens[[1, 2, 3, 4], 1:].any()  # padding alone: costs nothing
    assert (confidences > 0.9).all()


def test_pseudo_labels_of_ctc() -> None:
    config = config_of("crnn")
    module = built(config)
    assert isinstance(module, PseudoLabelCTC)
    blank, padding, unknown, space, a, b = range(6)
    logits = logits_of(
        [a, a, blank, a, b, blank], [a, padding, blank], [unknown, blank], [a, space, b, blank],
        [blank], classes=98, steps=15,
    )  # fmt: skip

    class Teacher(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return logits

    module.teacher = Teacher()
    taught, _ = module.pseudo_labels(torch.zeros(5, 3, 32, 64))
    assert taught["usable"].tolist() == [True, False, False, True, True]
    assert taught["lengths"].tolist() == [3, 0, 0, 3, 0]
    assert taught["targets"].shape == (5, MAX_LABEL)
    assert taught["targets"][[0, 3], :3].tolist() == [[a, a, b], [a, space, b]]


@pytest.mark.parametrize("student", STUDENTS)
def test_batches_of_one_kind_and_batches_of_which_nothing_is_kept(student: str) -> None:
    config = config_of(student, start="parent")
    module = built(config)
    module.before_step(0.0)
    view = PSEUDO_LABEL.views(config)
    for labels, term in ((["", "", ""], "pseudo"), ([None, None], "supervised")):
        losses = module.loss(view(words(labels)))
        assert all(value.isfinite() for value in losses.values())
        assert losses[term] == 0
        assert losses["loss"] > 0
        losses["loss"].backward()
    bias = module.teacher.decoder
    bias = bias.generator.bias if isinstance(module, PseudoLabel) else bias.bias
    bias.data[1] += 100  # unknown in attention, padding in CTC
    losses = module.loss(view(words(MIXED)))
    assert losses["kept"] == 0
    assert losses["pseudo"] == 0
    assert losses["loss"] == losses["supervised"]
    losses["loss"].backward()
    assert all(p.grad.isfinite().all() for p in module.parameters() if p.grad is not None)


def test_rows_may_come_in_any_order() -> None:
    config = config_of("crnn", start="parent")
    module = built(config).eval()  # BatchNorm would see other batches
    module.before_step(0.0)
    batch = words(MIXED)
    order = torch.tensor([4, 2, 0, 5, 3, 1])
    labels = [batch.labels[i] for i in order.tolist()]
    turned = WordBatch(batch.images[order], batch.aspect[order], labels, batch.seeds[order])
    view = PSEUDO_LABEL.views(config)
    one, other = (module.loss(view(b)) for b in (batch, turned))
    for name, value in one.items():
        assert torch.allclose(value, other[name], rtol=1e-5), name


def test_it_starts_from_a_whole_recognizer_and_gives_one() -> None:
    config = config_of(start="parent")
    with torch.random.fork_rng():
        torch.manual_seed(7)
        parent = AttentionRecognizer(config)
    module = built(config)
    assert PSEUDO_LABEL.fresh is not None
    fresh = inherit(module, {"trba": tensors(parent)}, fresh=PSEUDO_LABEL.fresh)
    assert {name.split(".")[0] for name in fresh} == {"teacher", "started"}
    module.before_step(0.0)
    for name, tensor in parent.state_dict().items():
        assert torch.equal(module.state_dict()[f"teacher.{name}"], tensor)
    exported = PSEUDO_LABEL.export(module)
    assert exported.keys() == parent.state_dict().keys()
    built(config).load_state_dict(exported)  # as strbench eval does
    half = {n: t for n, t in parent.state_dict().items() if n.startswith("encoder.")}
    with pytest.raises(StrbenchError, match=r"decoder\.\S+ is missing"):
        inherit(module, {"rotnet": half}, fresh=PSEUDO_LABEL.fresh)
    with pytest.raises(RuntimeError, match="Missing key"):
        built(config).load_state_dict(half)
    assert PSEUDO_LABEL.parents[0] == "trba"


def test_reading_does_not_depend_on_the_batch() -> None:
    config = config_of()
    module = built(config)
    assert PSEUDO_LABEL.reader is not None
    read = PSEUDO_LABEL.reader(module, config)
    images = words([""] * 7).images.float() / 255
    whole, alone = read(images), [read(image[None])[0] for image in images]
    assert [text for text, _ in whole] == [text for text, _ in alone]
    assert module.training


def test_a_student_learns_to_read_from_pseudo_labels_alone() -> None:
    """Eight words: a recognizer is trained on them; then a fresh student sees no label at all."""
    config = config_of("crnn", charset="36", augmentation="plain", precision="fp32")
    batch = words([""] * 8)
    images = batch.images.float() / 255

    def learn(module: nn.Module, views: dict[str, Tensor], steps: int) -> None:
        optimiser = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=3e-3)
        for _ in range(steps):
            optimiser.zero_grad()
            module.loss(views)["loss"].backward()
            nn.utils.clip_grad_norm_(module.parameters(), 5.0)
            optimiser.step()

    torch.manual_seed(0)
    teacher = trba_recognizer.build(config).train()
    learn(teacher, trba_recognizer.views(config)(batch), 120)
    assert [text for text, _ in trba_recognizer.reader(teacher, config)(images)] == batch.labels
    student = built(config)
    inherit(student, {"crnn": tensors(teacher)}, fresh=PSEUDO_LABEL.fresh or ())
    student.before_step(0.0)
    read = trba_recognizer.reader(student, config)
    assert not set(batch.labels) & {text for text, _ in read(images)}
    learn(student, PSEUDO_LABEL.views(config)(batch._replace(labels=[None] * 8)), 120)
    assert [text for text, _ in read(images)] == batch.labels
