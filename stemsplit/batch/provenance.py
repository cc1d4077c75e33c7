"""What the files of a run are made with, for the manifests."""

from __future__ import annotations

import hashlib

from stemsplit.batch.plan import SplitOptions, settings_of
from stemsplit.checkpoints import loading
from stemsplit.outputs.manifest import Recipe
from stemsplit.outputs.selection import Selection
from stemsplit.separation.job import closing_stem


def recipes_of(options: SplitOptions, selection: Selection) -> dict[str, Recipe]:
    """Return the recipe of each stem, and of each project, by name; the weights are here."""
    settings = settings_of(options)
    if options.encoding.clip == "linked":
        # All stems that are written have one gain, which depends on each of them.
        settings["linked"] = list(selection.wanted)
    closing, whole = closing_stem(selection, options.encoding), {"sums": list(selection.sums)}
    model = loading.label(options.model)
    recipes = {
        name: Recipe(
            model=model,
            digest=loading.fingerprint(options.model, stems=selection.stems_in(name)),
            parts=selection.parts(name),
            settings=settings | (whole if name == closing else {}),
        )
        for name in selection.wanted
    }
    digests = " ".join(recipe.digest for recipe in recipes.values())
    parts = dict.fromkeys(recipes, 1.0)
    # A project tells the names of the stems; one of DAWproject has them inside.
    for daw in options.daws:
        recipes[daw] = Recipe(
            model=model,
            digest=hashlib.sha256(digests.encode()).hexdigest(),
            parts=parts,
            settings=settings | {"template": options.template},
        )
    return recipes
