"""Building blocks of the reference implementations: encoder, masks, heads, CTC, batch norm."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, multiprocessing, nn

from strbench.baselines.parts import vit
from strbench.baselines.parts.batchnorm import BatchNorm
from strbench.baselines.parts.ctc import CTCDecoder, ctc_loss, frames_needed, greedy
from strbench.baselines.parts.masking import masked_rows, patch_pixels, random_masks
from strbench.baselines.parts.mlp import projection_head
from strbench.errors import StrbenchError


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def small_vit(**options: object) -> vit.ViT:
    size = vit.Size(depth=2, dim=16, heads=2, patch=(8, 8), source="this test")
    return vit.ViT(size, height=32, width=64, **options)  # type: ignore[arg-type]


# --- encoder


@pytest.mark.parametrize(
    ("name", "parameters"), [("tiny", 5_346_048), ("small", 21_308_928), ("base", 37_849_088)]
)
def test_encoder_has_the_published_number_of_parameters(name: str, parameters: int) -> None:
    with torch.device("meta"):
        assert count(vit.ViT(vit.SIZES[name], height=32, width=128)) == parameters


def test_dig_sizes_have_heads_of_64_and_256_tokens() -> None:
    for name in ("tiny", "small", "base"):
        size = vit.SIZES[name]
        assert (size.depth, size.dim // size.heads) == (12, 64)
        assert vit.grid_of(size, height=32, width=128) == (8, 32)
    assert vit.SIZES["base"].dim == 512


def test_the_final_norm_is_the_only_difference_in_parameters() -> None:
    names = {name for name, _ in small_vit().named_parameters()}
    without = {name for name, _ in small_vit(final_norm=False).named_parameters()}
    assert names - without == {"norm.weight", "norm.bias"}
    assert without <= names


def test_positions_are_the_sinusoid_of_the_flattened_index() -> None:
    table = vit.sinusoid(5, 6)
    for position, channel in itertools.product(range(5), range(6)):
        angle = position / 10000 ** (2 * (channel // 2) / 6)
        expected = math.sin(angle) if channel % 2 == 0 else math.cos(angle)
        assert table[0, position, channel].item() == pytest.approx(expected, abs=1e-6)


def test_positions_are_neither_trained_nor_saved() -> None:
    encoder = small_vit()
    assert "positions" not in dict(encoder.named_parameters())
    assert "positions" not in encoder.state_dict()


def test_hidden_patches_cannot_be_seen() -> None:
    encoder = small_vit().eval()
    images = torch.randn(2, 3, 32, 64)
    mask = torch.zeros(2, 32, dtype=torch.bool)
    mask[:, :8] = True  # the first row of patches
    other = images.clone()
    other[:, :, :8] = torch.randn(2, 3, 8, 64)
    assert torch.equal(encoder(images, mask), encoder(other, mask))
    assert not torch.allclose(encoder(images), encoder(other))


def test_hidden_tokens_keep_their_positions() -> None:
    # All patches hidden: tokens still differ, because positions are added after masking.
    encoder = small_vit().eval()
    features = encoder(torch.zeros(1, 3, 32, 64), torch.ones(1, 32, dtype=torch.bool))
    assert features.std(1).mean() > 0.1


def test_mask_token_starts_at_zero_and_decays_with_the_matrices() -> None:
    token = small_vit().mask_token
    assert token.ndim == 3
    assert not token.any()


@pytest.mark.parametrize("stem_uniform", [True, False])
def test_initialisation(stem_uniform: bool) -> None:
    size = vit.SIZES["tiny"]
    encoder = vit.ViT(size, height=32, width=128, stem_uniform=stem_uniform)
    joint = encoder.blocks[0].attention.qkv.weight
    assert joint.abs().max() <= math.sqrt(6 / (192 + 576))
    assert joint.std().item() == pytest.approx(math.sqrt(2 / (192 + 576)), rel=0.02)
    for name, parameter in encoder.named_parameters():
        if name.endswith("bias") and not name.startswith("patch_embed"):
            assert not parameter.any(), name
    bound = math.sqrt(6 / (3 * 16 + 192)) if stem_uniform else 1 / math.sqrt(3 * 16)
    assert encoder.patch_embed.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert bool(encoder.patch_embed.bias.any()) is not stem_uniform


def test_attention_equals_pytorch_with_a_key_bias_of_zero() -> None:
    ours = vit.Attention(16, 2, dropout=0.0, attention_dropout=0.0).double()
    theirs = nn.MultiheadAttention(16, 2, batch_first=True).double()
    for bias in (ours.q_bias, ours.v_bias, ours.proj.bias):
        nn.init.normal_(bias)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(torch.cat([ours.q_bias, torch.zeros(16), ours.v_bias]))
        theirs.out_proj.load_state_dict(ours.proj.state_dict())
    tokens = torch.randn(3, 7, 16).double()
    torch.testing.assert_close(ours(tokens), theirs(tokens, tokens, tokens)[0])


def test_both_ways_of_attending_agree() -> None:
    query, key, value = torch.randn(3, 2, 2, 9, 8)
    wide = vit.attend(query, key, value)
    narrow = vit.attend(query.bfloat16(), key.bfloat16(), value.bfloat16())
    assert narrow.dtype == torch.bfloat16
    torch.testing.assert_close(narrow.float(), wide, atol=0.03, rtol=0.03)


def test_drop_path_drops_whole_images_and_keeps_the_mean() -> None:
    drop = vit.DropPath(0.25)
    out = drop(torch.ones(4000, 3, 2))
    assert out.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert out.flatten(1).std(1).max() == 0
    assert out.mean().item() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(drop.eval()(torch.ones(2, 3)), torch.ones(2, 3))


def test_drop_path_grows_linearly_over_the_blocks() -> None:
    encoder = vit.ViT(vit.SIZES["mini"], height=32, width=128, drop_path=0.15)
    rates = [block.drop_path.rate for block in encoder.blocks]
    assert rates == pytest.approx([0.0, 0.05, 0.1, 0.15])


def test_dropout_is_active_in_training_only() -> None:
    for options in ({"dropout": 0.3}, {"attention_dropout": 0.3}, {"drop_path": 0.5}):
        encoder = small_vit(**options)
        images = torch.randn(4, 3, 32, 64)
        assert not torch.equal(encoder(images), encoder(images)), options
        encoder.eval()
        assert torch.equal(encoder(images), encoder(images)), options


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_freezing(layers: int) -> None:
    encoder = small_vit()
    encoder.freeze(layers)
    frozen = {
        n.split(".")[0] + n.split(".")[1] if n.startswith("blocks") else n.split(".")[0]
        for n, p in encoder.named_parameters()
        if not p.requires_grad
    }
    assert (
        frozen
        == {
            0: set(),
            1: {"patch_embed"},
            2: {"patch_embed", "blocks0"},
            3: {"patch_embed", "blocks0", "blocks1"},
        }[layers]
    )


def test_errors_of_sizes() -> None:
    with pytest.raises(StrbenchError, match="0 to 3"):
        small_vit().freeze(4)
    with pytest.raises(StrbenchError, match="small"):
        vit.size_named("smal")
    with pytest.raises(StrbenchError, match="32x100"):
        vit.grid_of(vit.SIZES["micro"], height=32, width=100)


# --- masks


@pytest.mark.parametrize(("ratio", "hidden"), [(0.7, 179), (0.6, 153), (0.0, 0), (1.0, 256)])
def test_masks_hide_exactly_the_count(ratio: float, hidden: int) -> None:
    assert random_masks(torch.arange(20), 256, ratio).sum(1).tolist() == [hidden] * 20


def test_a_mask_belongs_to_its_seed_alone() -> None:
    seeds = torch.tensor([5, -9, 2**62, 5, 0])
    masks = random_masks(seeds, 64, 0.7)
    assert torch.equal(masks[0], masks[3])
    assert len({tuple(row) for row in masks.tolist()}) == 4
    order = torch.tensor([4, 2, 0])
    assert torch.equal(random_masks(seeds[order], 64, 0.7), masks[order])


def test_masks_are_uniform_over_patches_and_pairs() -> None:
    n = 20_000
    masks = random_masks(torch.arange(n), 16, 0.5).double()
    # 8 of 16: one patch with probability 1/2, two with 8*7/(16*15); five standard errors
    assert (masks.mean(0) - 0.5).abs().max() < 5 * 0.5 / n**0.5
    pairs = (masks.T @ masks / n)[~torch.eye(16, dtype=torch.bool)]
    assert (pairs - 56 / 240).abs().max() < 5 * 0.42 / n**0.5


def test_patch_pixels_are_rows_columns_channels() -> None:
    images = torch.randn(2, 3, 8, 12)
    rows = patch_pixels(images, (4, 6))
    assert rows.shape == (2, 4, 72)
    for row, column in itertools.product(range(2), range(2)):
        block = images[1, :, 4 * row : 4 * row + 4, 6 * column : 6 * column + 6]
        assert torch.equal(rows[1, 2 * row + column], block.permute(1, 2, 0).flatten())


def test_masked_rows_come_in_order() -> None:
    tokens = torch.arange(12.0).view(2, 3, 2)
    mask = torch.tensor([[True, False, True], [False, True, True]])
    assert masked_rows(tokens, mask).tolist() == [[[0, 1], [4, 5]], [[8, 9], [10, 11]]]


# --- heads


def test_heads_have_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        assert count(projection_head([384, 4096, 4096, 256])) == 19_415_040
        assert count(projection_head([256, 4096, 256])) == 2_105_344
        assert count(projection_head([384, 512, 512, 384])) == 657_408


def test_batchnorm_heads_whiten_and_gelu_heads_take_single_rows() -> None:
    rows = torch.randn(64, 8) * 3 + 1
    out = projection_head([8, 32, 16], style="bn-relu")(rows)
    torch.testing.assert_close(out.mean(0), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.std(0, correction=0), torch.ones(16), atol=1e-2, rtol=0)
    head = projection_head([8, 32, 16], style="gelu-ln")
    torch.testing.assert_close(head(rows)[:1], head(rows[:1]))
    with pytest.raises(ValueError, match="gelu"):
        projection_head([8, 8], style="gelu")  # type: ignore[arg-type]


# --- CTC


@pytest.mark.parametrize(("dim", "parameters"), [(192, 150_114), (384, 248_418), (512, 313_954)])
def test_ctc_decoder_parameters_and_shape(dim: int, parameters: int) -> None:
    decoder = CTCDecoder(dim, grid=(8, 32), classes=98)
    assert count(decoder) == parameters
    assert decoder.blank == 97
    assert decoder(torch.randn(2, 256, dim)).shape == (2, 32, 98)


def test_a_frame_is_the_mean_of_its_column() -> None:
    decoder = CTCDecoder(4, grid=(2, 3), classes=5, hidden=8)
    features = torch.randn(1, 6, 4)
    swapped = features[:, [3, 4, 5, 0, 1, 2]]  # the rows change places
    torch.testing.assert_close(decoder(features), decoder(swapped))
    changed = features.clone()
    changed[:, [1, 4]] += 1  # the middle column
    differs = (decoder(features) != decoder(changed)).any(-1)
    assert differs.tolist() == [[False, True, False]]


def paths_probability(logits: Tensor, label: tuple[int, ...], blank: int) -> float:
    """The probability of a label by adding up every path: the definition of CTC."""
    frames, classes = logits.shape
    total = 0.0
    for path in itertools.product(range(classes), repeat=frames):
        merged = [c for c, before in zip(path, (None, *path), strict=False) if c != before]
        if tuple(c for c in merged if c != blank) == label:
            total += math.exp(sum(logits.log_softmax(-1)[t, c].item() for t, c in enumerate(path)))
    return total


def test_ctc_loss_is_the_definition_with_the_blank_last() -> None:
    logits = torch.randn(3, 4, 4)
    labels = [(0, 1), (2, 2), ()]
    targets = torch.tensor([[0, 1, 9], [2, 2, 9], [9, 9, 9]])
    loss = ctc_loss(logits, targets, torch.tensor([2, 2, 0]), blank=3)
    for row, label in enumerate(labels):
        expected = -math.log(paths_probability(logits[row], label, 3))
        assert loss[row].item() == pytest.approx(expected, rel=1e-4)


def test_labels_without_an_alignment_cost_nothing() -> None:
    logits = torch.randn(2, 2, 3, requires_grad=True)
    targets = torch.tensor([[0, 0], [0, 1]])
    assert [frames_needed(row) for row in targets.tolist()] == [3, 2]
    loss = ctc_loss(logits, targets, torch.tensor([2, 2]), blank=2)
    loss.sum().backward()
    assert loss[0] == 0
    assert loss[1] > 0
    assert logits.grad is not None
    assert not logits.grad[0].any()
    assert logits.grad[1].any()


def test_ctc_loss_is_taken_in_float32_under_autocast() -> None:
    logits = torch.randn(1, 4, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = ctc_loss(logits, torch.tensor([[1]]), torch.tensor([1]), blank=4)
    assert loss.dtype == torch.float32


def frames(path: list[int], classes: int, strength: float = 20.0) -> Tensor:
    return F.one_hot(torch.tensor([path]), classes).float() * strength


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ([3, 0, 0, 3, 0, 1], [0, 0, 1]),
        ([1, 1, 1, 1, 1, 1], [1]),
        ([0, 1, 0, 1, 3, 3], [0, 1, 0, 1]),
        ([3, 3, 3, 3, 3, 3], []),
    ],
)
def test_greedy_merges_runs_then_drops_blanks(path: list[int], read: list[int]) -> None:
    classes, counts, confidence = greedy(frames(path, 4), blank=3)
    assert counts.item() == len(read)
    assert classes[0].tolist() == read + [-1] * (6 - len(read))
    assert confidence.item() == pytest.approx(1.0, abs=1e-4)


def test_confidence_is_the_product_over_emitting_frames() -> None:
    logits = torch.tensor([[[0.6, 0.3, 0.1], [0.9, 0.05, 0.05], [0.2, 0.1, 0.7], [0.2, 0.5, 0.3]]])
    _, _, confidence = greedy(logits.log(), blank=2)
    assert confidence.item() == pytest.approx(0.6 * 0.5, rel=1e-4)
    _, _, empty = greedy(logits[:, 2:3].log(), blank=2)
    assert empty.item() == pytest.approx(0.7, rel=1e-4)


def test_silent_classes_are_never_read() -> None:
    logits = torch.tensor([[[5.0, 9.0, 0.0]]])
    classes, counts, confidence = greedy(logits, blank=2, silent=(1,))
    assert classes.tolist() == [[0]]
    assert counts.tolist() == [1]
    assert confidence.item() == pytest.approx(logits.softmax(-1)[0, 0, 0].item())


# --- batch normalisation


@pytest.mark.parametrize("affine", [True, False])
def test_alone_it_is_pytorchs(affine: bool) -> None:
    ours, theirs = BatchNorm(4, affine=affine), nn.BatchNorm1d(4, affine=affine)
    for _ in range(3):
        rows = torch.randn(9, 4) + 2
        assert torch.equal(ours(rows), theirs(rows))
    assert all(
        torch.equal(a, b)
        for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    )
    assert torch.equal(ours.eval()(rows), theirs.eval()(rows))


PARTS = (5, 3)  # rows on each of two ranks


def _rows() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return (
        torch.randn(sum(PARTS), 4, generator=generator) * 2 + 1,
        torch.randn(sum(PARTS), 4, generator=generator),
    )


def _norm_and_gradients(norm: nn.Module, rows: Tensor, weights: Tensor) -> list[Tensor]:
    rows = rows.clone().requires_grad_()
    out = norm(rows)
    (out * weights).sum().backward()
    assert rows.grad is not None
    return [out.detach(), rows.grad]


def _on_a_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=len(PARTS)
    )
    norm = BatchNorm(4)
    mine = slice(sum(PARTS[:rank]), sum(PARTS[: rank + 1]))
    rows, weights = _rows()
    results = _norm_and_gradients(norm, rows[mine], weights[mine])
    results += [norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var]
    torch.save(results, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_ranks_equal_one_process(tmp_path: Path) -> None:
    multiprocessing.spawn(_on_a_rank, args=(str(tmp_path),), nprocs=len(PARTS))
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(len(PARTS))]
    alone = nn.BatchNorm1d(4)
    out, gradient = _norm_and_gradients(alone, *_rows())
    torch.testing.assert_close(torch.cat([r[0] for r in ranks]), out)
    torch.testing.assert_close(torch.cat([r[1] for r in ranks]), gradient)
    # the loop averages parameter gradients over ranks; here they add up to the whole batch's
    torch.testing.assert_close(ranks[0][2] + ranks[1][2], alone.weight.grad)
    torch.testing.assert_close(ranks[0][3] + ranks[1][3], alone.bias.grad)
    for result in ranks:
        torch.testing.assert_close(result[4], alone.running_mean)
        torch.testing.assert_close(result[5], alone.running_var)
