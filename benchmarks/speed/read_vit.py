"""How fast a ViT recognizer of the paper's size reads, beside plain float32 loops.

    python benchmarks/speed/read_vit.py [--size small] [--n 128] [--steps 1200] [--rounds 3] [--device auto]

The words of a trained recognizer are seldom doubtful, and a doubtful one is read twice; no weights of
this size are at hand. So the encoder stays as it is drawn and the CTC head alone learns the ``n`` drawn
words by heart, on features computed once: the reading is as sure as a recognizer's can be, and the
arithmetic that of any weights. strbench reads as ``strbench eval`` does; the plain loops are the same
module in eager float32, in batches of strbench's size and of the sizes that evaluation scripts use.
Printed besides: how many words each plain loop reads as strbench does, and as they are labelled.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from timing import interleaved, show
from torch import Tensor, nn

from strbench import registry
from strbench.devices import pick_device
from strbench.loading import stretch
from strbench.methods import Method, WordBatch
from strbench.rendered import DEMO, draw_word
from strbench.settings import override
from strbench.trained import TrainedRecognizer

PLAIN_BATCHES = (64, 128)  # the first is strbench's for small networks, the second DiG's evaluation


def drawn(config: Any, n: int) -> tuple[list[np.ndarray], list[str]]:
    """``n`` words at the config's size, uint8 (H, W, 3), and their labels."""
    words = [draw_word(DEMO, 0, index, split="rendered_demo/train") for index in range(n)]
    images = [stretch(word.image, config.height, config.width) for word in words]
    return images, [word.label for word in words]


def learn(model: Any, batch: dict[str, Tensor], *, steps: int) -> None:
    """Teach the head the words of a batch of ``views``; the encoder stays as it is."""
    rows, columns = model.encoder.grid
    with torch.no_grad():
        features = torch.cat([model.encoder(images) for images in batch["images"].split(16)])
    frames = features.view(len(features), rows, columns, -1).mean(1)  # what the head makes of them
    head: nn.Module = deepcopy(model.decoder)
    head.grid = (1, columns)
    optimiser = torch.optim.Adam(head.parameters(), lr=2e-3)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / 50, 1 - step / steps)
    )
    lengths = torch.full_like(batch["lengths"], columns)
    for _ in range(steps):
        scores = head(frames).log_softmax(-1).transpose(0, 1)  # (columns, n, classes)
        loss = F.ctc_loss(
            scores, batch["targets"], lengths, batch["lengths"], model.decoder.blank, "sum"
        )
        optimiser.zero_grad()
        (loss / len(frames)).backward()
        nn.utils.clip_grad_norm_(head.parameters(), 5.0)
        optimiser.step()
        rate.step()
    model.decoder.load_state_dict(head.state_dict())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="small")
    parser.add_argument("--n", type=int, default=128)
    parser.add_argument("--steps", type=int, default=1200, help="of teaching the head")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()

    device = pick_device(options.device)
    method: Method = registry.load("models", "vit-ctc")
    config = override(method.recipes["small"], [f"size={options.size}", "augmentation=plain"])
    torch.manual_seed(0)
    model = method.build(config).to(device).eval()
    images, labels = drawn(config, options.n)
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(device)
    aspect, seeds = torch.ones(len(images)), torch.arange(len(images))
    batch = method.views(config)(WordBatch(pixels, aspect.to(device), list(labels), seeds))
    learn(model, batch, steps=options.steps)

    ours = TrainedRecognizer(method, model, config, method.card, device)
    plain = TrainedRecognizer(method, model, config, method.card, device)
    plain.dtype = None
    texts: dict[str, list[str]] = {}

    def reader(name: str, recognizer: TrainedRecognizer, size: int) -> Callable[[], None]:
        def read() -> None:
            batches = [images[i : i + size] for i in range(0, len(images), size)]
            texts[name] = [one.text for some in batches for one in recognizer.read(some)]

        return read

    things = {}
    name = f"strbench, {ours.dtype or torch.float32}, batches of {ours.batch_size}"
    things[name] = reader(name, ours, ours.batch_size)
    for size in sorted({ours.batch_size, *PLAIN_BATCHES}):
        plainly = f"plain float32, batches of {size}"
        things[plainly] = reader(plainly, plain, size)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"vit-ctc {options.size}, {parameters:,} parameters")
    show(interleaved(things, rounds=options.rounds), items=len(images), unit="words")
    for other, read in texts.items():
        same = sum(a == b for a, b in zip(read, texts[name], strict=True))
        right = sum(a == b.lower() for a, b in zip(read, labels, strict=True))
        print(f"{other}: {same} of {len(read)} as strbench, {right} as labelled")


if __name__ == "__main__":
    main()
