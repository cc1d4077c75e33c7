"""Put a run of training together: its songs, network, workers and folder; start or resume it."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stemsplit.data.collections import TrainingSong
from stemsplit.errors import UsageError
from stemsplit.models.base import SeparationModel
from stemsplit.separation.device import resolve_device
from stemsplit.training.card import write_card
from stemsplit.training.curves import write_page
from stemsplit.training.events import Finished, TrainingEvent, Validated, describe_event
from stemsplit.training.initial import InitialNetwork, build_network, initial_network
from stemsplit.training.learner import Learner
from stemsplit.training.loader import Loader
from stemsplit.training.loggers import make_loggers
from stemsplit.training.loop import TrainingLoop
from stemsplit.training.network import TrainedNetwork
from stemsplit.training.overfit import OverfitResult, for_overfitting, overfit
from stemsplit.training.processes import Processes, joined_processes
from stemsplit.training.progress import Progress
from stemsplit.training.recipe import Recipe
from stemsplit.training.run_folder import (
    Metrics,
    RunFolder,
    describe_run,
    kept_state,
    read_facts,
    require_same,
    write_facts,
)
from stemsplit.training.sampling import Drawing, Sampler
from stemsplit.training.songs import Songs, open_songs
from stemsplit.training.state import load_state
from stemsplit.training.validation import Validator
from stemsplit.types import Noted, Warned

#: Excerpts from which a network takes what depends on the data.
ADAPTED = 64
#: Seconds between two versions of the page with the curves: drawing them takes one.
BETWEEN_REPORTS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """A run: a ``recipe``, songs as `songs.find_songs` returns them, and where and how it runs."""

    recipe: Recipe
    songs: tuple[TrainingSong, ...]
    data: tuple[str, ...]  # the folders, for the card
    out: Path
    cache: Path
    device: str = "auto"
    workers: int = 1
    start: str = ""  # RUN@STEP
    loggers: tuple[str, ...] = ()
    #: Called with the number of files of songs that are measured and decoded, and of all.
    opening: Callable[[int, int], None] | None = None


def train(options: TrainOptions) -> Generator[TrainingEvent]:
    """Start the run of ``options``, or resume it if its folder has a state; yield what happens.

    Raises `StemsplitError` of any kind; the state before that stays.
    """
    device = resolve_device(options.device)
    with joined_processes(device) as processes, contextlib.ExitStack() as stack:
        folder = RunFolder(options.out)
        if processes.first:
            folder.create()
            stack.enter_context(folder.locked())
        processes.share(None)  # the folder exists
        if device.type == "cuda" and processes.count > 1:
            device = torch.device("cuda", processes.local)
        run = _Run(options, folder, processes, device)
        for event in run.events():
            if processes.first:
                yield event


@dataclass(slots=True)
class _Run:
    options: TrainOptions
    folder: RunFolder
    processes: Processes
    device: torch.device
    _reported: float = field(default_factory=time.monotonic)

    def events(self) -> Iterator[TrainingEvent]:
        """Yield what happens, and write it to the log as well."""
        options, processes = self.options, self.processes
        # Before its first state, a run has trained nothing: it starts as if it were new.
        facts = read_facts(self.folder) if self.folder.state.exists() else None
        if facts is not None:
            require_same(facts["asked"], options.recipe.plain(), self.folder)
            require_same({"start": facts["start"]}, {"start": options.start}, self.folder)
        initial = self._initial(facts)
        share = initial.recipe.share(processes.count)
        songs = _open(options, initial, show=processes.first)
        for warning in songs.warnings:
            yield self._logged(Warned(warning))
        loop = self._make_loop(initial, songs, share, is_new=facts is None)
        yield from map(self._logged, self._resume(loop, facts, songs))
        for note in initial.notes:
            yield self._logged(Noted(note))
        facts = self._describe(initial, songs)
        processes.share(None)  # all have read the facts and the state
        if processes.first:
            write_facts(self.folder, facts)
            loop.loggers = make_loggers(
                self.folder.root, facts, options.loggers, loop.progress.step
            )
        try:
            for event in loop.run():
                if processes.first and isinstance(event, Validated | Finished):
                    self._report(loop, facts, last=isinstance(event, Finished))
                yield self._logged(event)
        finally:
            for logger in loop.loggers:
                logger.close()

    def _initial(self, facts: Mapping[str, Any] | None) -> InitialNetwork:
        """Return the network to start with; that of a run that is resumed has new weights."""
        recipe = self.options.recipe
        if facts is None:
            return initial_network(recipe)
        recipe = dataclasses.replace(recipe, network=facts["recipe"]["network"])
        return InitialNetwork(model=build_network(recipe), recipe=recipe, licence=facts["licence"])

    def _report(self, loop: TrainingLoop, facts: Mapping[str, Any], *, last: bool) -> None:
        """Write the page and the card, at most once a minute before the ``last`` time."""
        now = time.monotonic()
        if not last and now - self._reported < BETWEEN_REPORTS:
            return
        self._reported = now
        progress = dataclasses.asdict(loop.progress)
        write_page(self.folder, facts, progress, Metrics(self.folder.metrics).read())
        write_card(self.folder, facts, progress)

    def _logged(self, event: TrainingEvent) -> TrainingEvent:
        if self.processes.first and (line := describe_event(event)):
            self.folder.write_log(line)
        return event

    def _make_loop(
        self, initial: InitialNetwork, songs: Songs, share: int, *, is_new: bool
    ) -> TrainingLoop:
        options, recipe, model = self.options, initial.recipe, initial.model
        sampler = make_sampler(recipe, model, songs, share, self.processes.number)
        frames = sampler.drawing.frames
        if is_new:
            adapt(initial, sampler)
        shape = (share, len(model.sources), model.channels, frames)
        validator = Validator(model, songs.validate, recipe.data.background, str(self.device))
        network = TrainedNetwork(model, recipe.loss)
        loop = TrainingLoop(
            recipe=recipe,
            folder=self.folder,
            learner=Learner(network, recipe, self.device, self.processes),
            loader=Loader(sampler, options.workers, shape),
            validator=validator,
            processes=self.processes,
            origin=f"trained by stemsplit as {self.folder.root.resolve().name}",
            songs=len(songs.train.songs),
            left_out=songs.left_out,
            seconds_per_step=recipe.batch * frames / model.sample_rate,
        )
        loop.progress.seconds = recipe.validation.seconds
        loop.progress.digest = songs.digest
        return loop

    def _resume(
        self, loop: TrainingLoop, facts: Mapping[str, Any] | None, songs: Songs
    ) -> Iterator[TrainingEvent]:
        """Continue from the state of the run, or from the one that it starts with."""
        if facts is None and not self.options.start:
            loop.forget_figures()
            return
        path = kept_state(self.options.start) if facts is None else self.folder.state
        loop.resume(load_state(path))
        progress: Progress = loop.progress
        yield Noted(f"continues after step {progress.step} of {path}")
        if progress.digest != songs.digest:
            progress.digest = songs.digest
            yield Warned("the songs have changed since then: the run cannot be reproduced")

    def _describe(self, initial: InitialNetwork, songs: Songs) -> dict[str, Any]:
        return describe_run(
            initial.recipe,
            asked=self.options.recipe.plain(),
            start=self.options.start,
            data=list(self.options.data),
            digest=songs.digest,
            train=[song.name for song in songs.train.songs],
            validate=[song.name for song in songs.validate.songs],
            left_out=songs.left_out,
            licence=initial.licence,
        )


def check(options: TrainOptions, budget: float) -> Iterator[OverfitResult]:
    """Yield how well the network of ``options`` learns one batch by heart in ``budget`` seconds."""
    device = resolve_device(options.device)
    initial = initial_network(options.recipe)
    recipe = for_overfitting(initial.recipe)
    songs = _open(options, initial)
    sampler = make_sampler(recipe, initial.model, songs, recipe.batch, 0)
    adapt(initial, sampler)
    network = TrainedNetwork(initial.model, recipe.loss)
    yield from overfit(network, sampler, recipe, device, budget)


def _open(options: TrainOptions, initial: InitialNetwork, *, show: bool = True) -> Songs:
    model = initial.model
    return open_songs(
        options.songs,
        model.sources,
        initial.recipe.data,
        sample_rate=model.sample_rate,
        channels=model.channels,
        cache=options.cache,
        progress=options.opening if show else None,
    )


def adapt(initial: InitialNetwork, sampler: Sampler) -> None:
    """Set what a new network takes from the data, from the first batches that are drawn."""
    model = initial.model
    changed = type(model).adapt_to is not SeparationModel.adapt_to
    if changed and not initial.recipe.fine_tuning.init:
        count = -(-ADAPTED // sampler.drawing.size)
        mixes = [sampler.draw(step).mix for step in range(count)]
        model.adapt_to(torch.from_numpy(np.concatenate(mixes)))


def make_sampler(recipe: Recipe, model: Any, songs: Songs, size: int, process: int) -> Sampler:
    """Return what draws the ``size`` excerpts of each step that ``process`` computes."""
    seconds = recipe.segment
    frames = round(seconds * model.sample_rate) if seconds else model.segment
    if model.fixed_segment and frames > model.segment:
        longest = model.segment / model.sample_rate
        raise UsageError(f"segment must be at most {longest:g} s for this network")
    drawing = Drawing(
        sources=tuple(model.sources),
        frames=frames,
        size=size,
        sample_rate=model.sample_rate,
        data=recipe.data,
        augment=recipe.augment,
        seed=recipe.seed,
        process=process,
    )
    return Sampler(songs.train, drawing)
