"""Orders in which the characters of a word are read, and what each of them may see: XLNet's masks.

Permutation language modelling (Yang et al., XLNet, NeurIPS 2019) predicts each character of a word
from the ones before it in some order, not only from left to right. An order is a *rank* for each
slot: the character in a slot is predicted from the characters of lower rank.
"""

from __future__ import annotations

import torch
from torch import Tensor

from strbench.draws import uniforms

ORDER_STREAM = 500  # behind the numbers of other streams


def reading_orders(seeds: Tensor, *, slots: int, orders: int) -> Tensor:
    """Ranks (B, orders, slots + 1) int64 of the slots and, last, of the place of the word's end.

    Order 0 is left to right, order 1 right to left; then come random orders, each followed by its
    mirror image. The end of a word is read behind every slot, but in order 1 before all of them.
    The random orders of an image depend on its seed (B,) alone; cut to the first n slots they are
    random orders of those.

    >>> import torch
    >>> reading_orders(torch.tensor([7]), slots=3, orders=4)[0]
    tensor([[0, 1, 2, 3],
            [3, 2, 1, 0],
            [2, 1, 0, 3],
            [0, 1, 2, 3]])

    Source: Bautista and Atienza, PARSeq, ECCV 2022, section 3.3 and appendix; the official code
    draws them once a batch, for the length of its longest word.
    """
    if orders < 2 or orders % 2:
        raise ValueError(f"{orders} orders do not fall into mirrored pairs")
    forward = torch.arange(slots + 1, device=seeds.device)
    ranks = [forward.expand(len(seeds), -1), forward.flip(0).expand(len(seeds), -1)]
    numbers = uniforms(seeds, (orders // 2 - 1) * slots, ORDER_STREAM)
    end = torch.full_like(seeds, slots)[:, None]
    for drawn in numbers.split(slots, 1) if orders > 2 else ():
        rank = drawn.argsort(1).argsort(1)
        ranks += [torch.cat([rank, end], 1), torch.cat([slots - 1 - rank, end], 1)]
    return torch.stack(ranks, 1)


def visible_characters(ranks: Tensor, lengths: Tensor) -> Tensor:
    """What each prediction sees (B, K, T, T), bool, of the input: start sign and T - 1 characters.

    Query t predicts slot t; input 0 is the start sign, which every query sees, and input s + 1 the
    character of slot s, seen by the slots of higher rank. Nothing behind a word's end is seen.

    Args:
        ranks: (B, K, T), as ``reading_orders`` returns them or cut to the first T places.
        lengths: characters of each word (B,).
    """
    keys = ranks[:, :, None, :-1]  # (B, K, 1, T - 1)
    slots = torch.arange(keys.shape[-1], device=ranks.device)
    seen = (keys < ranks[..., None]) & (slots < lengths[:, None, None, None])
    return torch.cat([seen.new_ones(*seen.shape[:-1], 1), seen], -1)
