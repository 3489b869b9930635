"""show --maps: what a detector is trained on for one photograph, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from strbench import registry
from strbench.cli.console import print_json, print_table, say
from strbench.cli.inspection import one_prepared
from strbench.errors import StrbenchError, unknown_name

if TYPE_CHECKING:
    from strbench.feeds import Item, PageFeed
    from strbench.methods import Method

_DRAWN = "rendered_pages/test"  # what is shown where no data is named


def draw_maps(
    kind: registry.Kind,
    name: str,
    output: Path,
    *,
    data: str | None,
    sample: str,
    recipe: str | None,
    settings: Sequence[str],
    seed: int,
    as_json: bool,
) -> None:
    """Write the picture of ``label_maps`` and print a row for each target.

    Args:
        data: a prepared split of photographs; None draws a page.
        sample: its number, from 0, or its id.
        settings: changes of the recipe, name=value.

    Raises:
        StrbenchError: an entry of words, an unknown recipe, setting or sample, or a name that is no .png.
    """
    from strbench.feeds import PageFeed, feed_of
    from strbench.files import atomic_path
    from strbench.label_maps import label_maps
    from strbench.settings import override

    method: Method = registry.load(kind, name)
    recipe = recipe or next(iter(method.recipes))
    if recipe not in method.recipes:
        raise unknown_name("recipe", recipe, method.recipes)
    if output.suffix.lower() != ".png":
        raise StrbenchError(
            f"{output} does not end in .png, the only format of the picture.",
            hint=f"strbench show {name} --maps {output.with_suffix('.png')}",
        )
    feed = feed_of(method, override(method.recipes[recipe], settings))
    if not isinstance(feed, PageFeed):
        raise StrbenchError(
            f"{name} is trained on {method.task} of crops; maps are drawn of photographs.",
            hint=f"strbench show psenet --maps {output}",
        )
    item, of = _item(feed, data, sample)
    used = " ".join([recipe, *settings])
    picture, rows = label_maps(
        feed, item, seed, title=f"{name}, recipe {used}", facts=f"{of}  ·  seed {seed}"
    )
    with atomic_path(output) as path:
        picture.save(path, "PNG")
    if as_json:
        print_json({"path": str(output), "image": of, "recipe": used, "targets": rows})
    else:
        print_table(rows, title=f"{name}, recipe {used}: what the loss is given of {of}")
    say(f"wrote {output}")


def _item(feed: PageFeed, data: str | None, sample: str) -> tuple[Item, str]:
    """A photograph with its regions, and what it is called."""
    from strbench.feeds import Item
    from strbench.loading import decode
    from strbench.rendered import samples

    if data is None:
        if not sample.isdecimal():
            raise StrbenchError(
                f"--sample {sample}: pages that are drawn have numbers.",
                hint="--sample 3   or, of a split that is prepared: --data ic15_det/test",
            )
        (page,) = samples(_DRAWN, 1, start=int(sample))
        assert page.image is not None
        assert page.regions is not None
        return Item((decode(page.image),), regions=page.regions), f"{_DRAWN} {page.id}, drawn"
    split = one_prepared(data, None, task="detection")
    if sample in split.ids:
        index = split.ids.index(sample)
    elif sample.isdecimal() and int(sample) < split.n:
        index = int(sample)
    else:
        raise StrbenchError(
            f"{split.name} has no sample {sample!r}: its {split.n} are called like {split.ids[0]}.",
            hint=f"A number from 0 to {split.n - 1} will do: --sample 0",
        )
    return feed.load(split, index), f"{split.name} {split.ids[index]}"
