"""ViT-Attention: its counts, and its decoder against the equations written out.

What it shares with ViT-Transformer is tested there.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from strbench.baselines.parts.vit_attention_decoder import AttentionGRU
from strbench.baselines.recognition.vit_attention import VIT_ATTENTION, Config


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("size", "total"), [("tiny", 7_678_818), ("small", 24_034_914), ("base", 40_837_218)]
)
def test_published_numbers_of_parameters(size: str, total: int) -> None:
    with torch.device("meta"):
        module = VIT_ATTENTION.build(Config(size=size))
    assert count(module) == VIT_ATTENTION.card.parameters[size] == total
    if size == "small":
        assert count(module.decoder) == 2_725_986  # type: ignore[arg-type]


def test_a_step_is_additive_attention_and_a_gru() -> None:
    torch.manual_seed(0)
    decoder = AttentionGRU(6, hidden=5, tokens=9, classes=8)
    features = torch.randn(2, 4, 6)
    tokens = torch.tensor([[8, 3, 1], [8, 0, 0]])
    logits = decoder(features, tokens)
    assert logits.shape == (2, 3, 8)
    gru = decoder.gru
    for image in range(2):
        state = torch.zeros(5)
        for place in range(3):
            scores = torch.stack(
                [
                    decoder.score(torch.tanh(decoder.feature(patch) + decoder.state(state)))[0]
                    for patch in features[image]
                ]
            )
            glimpse = (scores.softmax(0)[:, None] * features[image]).sum(0)
            x = torch.cat([decoder.embedding.weight[tokens[image, place]], glimpse])
            ir, iz, i_new = (gru.weight_ih @ x + gru.bias_ih).chunk(3)
            hr, hz, h_new = (gru.weight_hh @ state + gru.bias_hh).chunk(3)
            reset, keep = torch.sigmoid(ir + hr), torch.sigmoid(iz + hz)
            state = (1 - keep) * torch.tanh(i_new + reset * h_new) + keep * state
            torch.testing.assert_close(logits[image, place], decoder.classifier(state))


def test_steps_equal_the_taught_pass_for_several_hypotheses_of_an_image() -> None:
    torch.manual_seed(0)
    decoder = AttentionGRU(6, hidden=5, tokens=9, classes=8)
    features = torch.randn(2, 4, 6)
    tokens = torch.randint(0, 9, (6, 4))  # three hypotheses of each image
    taught = decoder(features.repeat_interleave(3, 0), tokens)
    fixed, past = decoder.begin(features, beams=3)
    for place in range(4):
        logits, past = decoder.step(tokens[:, place], fixed, past)
        torch.testing.assert_close(logits, taught[:, place])
