"""The loop of a run: steps, validations, states, and going back when a step fails.

What a step computes depends on the recipe, the data, the number of steps done and the order of the
batches alone, so a run that was killed and resumed equals one that was not.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from stemsplit.audio.writable import output_error
from stemsplit.checkpoints import weights
from stemsplit.errors import FREE_SPACE
from stemsplit.training.batch import Batch
from stemsplit.training.events import Finished, Started, Stepped, TrainingEvent, Validated
from stemsplit.training.guard import Diverged, Guard
from stemsplit.training.learner import CURRENT, Gradients, Learner
from stemsplit.training.loader import Loader
from stemsplit.training.loggers import Logger
from stemsplit.training.network import trained
from stemsplit.training.processes import Processes
from stemsplit.training.progress import Progress
from stemsplit.training.recipe import Recipe
from stemsplit.training.run_folder import Metrics, RunFolder
from stemsplit.training.state import (
    TrainingState,
    keep_file,
    load_state,
    save_batch,
    save_state,
)
from stemsplit.training.stopping import StopRequest, end_by, stop_requests
from stemsplit.training.validation import Found, Validator
from stemsplit.types import Noted, Warned

#: Steps over which rates are measured.
RATED = 50


@dataclass(kw_only=True)
class TrainingLoop:
    """A run in ``folder``. Several processes have a loop each; the first one writes files."""

    recipe: Recipe
    folder: RunFolder
    learner: Learner
    loader: Loader
    validator: Validator
    processes: Processes
    origin: str  # of the weights, for their files
    songs: int
    left_out: int
    seconds_per_step: float  # of music
    loggers: list[Logger] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        self._guard = Guard(self.recipe.guard)
        self._metrics = Metrics(self.folder.metrics)
        self._saved = -1  # steps in the last state
        self._has_good_state = self.folder.good.exists()
        self._times: deque[tuple[float, float]] = deque(maxlen=RATED + 1)

    # --- Resuming --------------------------------------------------------------------------------

    def resume(self, state: TrainingState) -> None:
        """Continue from ``state``, and forget the figures after it."""
        self._restore(state)
        self.forget_figures(self.progress.step)

    def forget_figures(self, step: int = -1) -> None:
        """Forget the figures after ``step``, all by default."""
        if self.processes.first:
            self._metrics.truncate(step)

    def _restore(self, state: TrainingState) -> None:
        self.learner.restore(state)
        self._guard.restore(state.values["guard"])
        self.progress = Progress(**state.values["progress"])

    # --- The loop --------------------------------------------------------------------------------

    def run(self) -> Iterator[TrainingEvent]:
        """Train until the recipe's steps are done; yield what happens.

        A signal ends the run after the current step, with its state saved. Raises `Diverged`,
        ``ResourceError`` for a full disk or too little memory, and what reading songs raises.
        """
        progress = self.progress
        yield Started(
            step=progress.step,
            steps=self.recipe.steps,
            songs=self.songs,
            left_out=self.left_out,
            validation_songs=len(self.validator.store.songs),
            parameters=sum(each.numel() for each in trained(self.learner.network)),
            device=self.validator.device,
        )
        with stop_requests() as stop, self.loader:
            self.loader.start(progress.step, progress.order)
            while True:
                yield from self._validate(stop)
                stopped = self.processes.largest(stop.signal)
                done = self.progress.step >= self.recipe.steps or self._ends_early
                if stopped or done or self._is_good_state:
                    self._save()
                if stopped:
                    end_by(stopped)
                if done:
                    break
                yield from self._step()
        best = self.progress.best
        yield Finished(
            step=self.progress.step,
            score=best["score"] if best else None,
            early=self.progress.step < self.recipe.steps,
        )

    @property
    def _is_good_state(self) -> bool:
        """Whether to go back to this step if a later one fails."""
        return self.progress.step % self.recipe.checkpoint.every == 0 or not self._has_good_state

    @property
    def _ends_early(self) -> bool:
        patience = self.recipe.validation.patience
        return bool(patience) and self.progress.since_best >= patience

    def _step(self) -> Iterator[TrainingEvent]:
        """Do a step, or go back if it fails."""
        progress = self.progress
        if not self._times:
            self._times.append((time.perf_counter(), self.loader.waited))
        batch = self.loader.next()
        for warning in self.loader.take_warnings():
            yield Warned(warning)
        gradients = self.learner.compute(batch, progress.step, progress.order)
        norm = None if self.learner.expects_infinity else gradients.norm
        failure = self._guard.examine(gradients.loss, norm)
        if failure is not None:
            yield self._go_back(failure, batch)
            return
        progress.step += 1
        self.learner.apply(progress.step)
        self._guard.pass_(progress.step)
        stepped = self._measured(gradients)
        # The last step too, so that a short run has figures.
        if progress.step % self.recipe.log_every == 0 or progress.step == self.recipe.steps:
            self._log(
                {"loss": stepped.loss, "lr": stepped.lr, "norm": stepped.norm}
                | {f"loss/{name}": value for name, value in stepped.terms.items()}
                | {"steps_per_second": stepped.steps_per_second, "waiting": stepped.waiting}
            )
        yield stepped

    def _measured(self, gradients: Gradients) -> Stepped:
        self._times.append((time.perf_counter(), self.loader.waited))
        (first, waited), (now, waited_now) = self._times[0], self._times[-1]
        steps, elapsed = len(self._times) - 1, max(now - first, 1e-9)
        return Stepped(
            step=self.progress.step,
            steps=self.recipe.steps,
            loss=gradients.loss,
            terms=gradients.terms,
            lr=gradients.lr,
            norm=gradients.norm,
            steps_per_second=steps / elapsed,
            real_time=steps / elapsed * self.seconds_per_step,
            waiting=(waited_now - waited) / elapsed,
        )

    def _log(self, values: dict[str, Any]) -> None:
        """Add ``values`` to the figures of the run, and to all loggers."""
        if not self.processes.first:
            return
        self._metrics.add({"step": self.progress.step, **values})
        numbers = {name: value for name, value in values.items() if isinstance(value, float)}
        for logger in self.loggers:
            logger.scalars(self.progress.step, numbers)

    # --- Failed steps ----------------------------------------------------------------------------

    def _go_back(self, failure: str, batch: Batch) -> Warned:
        """Continue from the last good state with other batches. Raises `Diverged` at last."""
        failed, before, guard = self.progress.step, self.progress, self._guard
        path = self.folder.failed(failed, before.order, self.processes.number)
        save_batch(batch, path)
        message = f"step {failed + 1} failed: {failure}"
        if guard.fail(failed):
            raise Diverged(
                f"training failed {guard.attempts} times: {failure} at step {failed + 1}",
                path=self.folder.root,
                hint="lower optimizer.lr, or set optimizer.clip; the batches are in failed/",
            )
        attempts, furthest = guard.attempts, guard.furthest
        self._restore(load_state(self.folder.good))
        self.processes.share(None)  # all have read the state before it is replaced
        self.progress.order = before.order + 1
        # What was validated since then still counts.
        self.progress.best, self.progress.since_best = before.best, before.since_best
        self._guard.attempts, self._guard.furthest = attempts, furthest
        self.forget_figures(self.progress.step)
        self._log({"failed": failed, "reason": failure, "order": self.progress.order})
        self._saved = -1
        self._save()
        self._times.clear()
        self.loader.start(self.progress.step, self.progress.order)
        return Warned(f"{message}; back to step {self.progress.step}, with other batches")

    # --- Validation ------------------------------------------------------------------------------

    def _validate(self, stop: StopRequest) -> Iterator[TrainingEvent]:
        """Validate if it is time; nothing changes if a signal arrives meanwhile."""
        progress, every = self.progress, self.recipe.validation.every
        due = progress.step % every == 0 or progress.step >= self.recipe.steps
        if not due or progress.validated == progress.step:
            return
        found = self._score(stop) if self.processes.first else None
        found = self.processes.share(found)
        self._times.clear()
        if found is None:
            return
        best = {"score": found.score, "scores": found.scores, "weights": found.name}
        best["step"] = progress.step
        progress.unprocessed = found.unprocessed
        if progress.step == 0:
            yield from self._limit(found.seconds)
        progress.validated = progress.step
        better = progress.best is None or found.score > progress.best["score"]
        progress.since_best = 0 if better else progress.since_best + 1
        self.learner.schedule.observe(found.score)
        if better:
            progress.best = best
            self._save_weights(self.folder.best, found.name)
        self._log(
            {"score": found.score, "weights": found.name, "validation_seconds": found.seconds}
            | {f"sdr/{name}": value for name, value in found.scores.items()}
        )
        if better:
            self._save()
        yield Validated(**best, better=better, seconds=found.seconds)

    def _score(self, stop: StopRequest) -> Found | None:
        """Return the best weights, unless a signal arrives."""
        progress = self.progress
        candidates = self.learner.candidates()
        if progress.step == 0:
            candidates = {CURRENT: candidates[CURRENT]}  # the averages are the same weights
        found = self.validator.choose(
            candidates, progress.seconds, progress.unprocessed, lambda: not stop.signal
        )
        if found is not None:
            self._log_examples()
        return found

    def _log_examples(self) -> None:
        """Give the loggers the separated sources of the first song, as they are now."""
        seconds = self.recipe.validation.examples
        if not (seconds and self.loggers):
            return
        excerpt = next(iter(self.validator.excerpts(seconds * len(self.validator.store.songs))))
        rate, names = self.validator.model.sample_rate, self.validator.model.sources
        for name, sound in zip(names, self.validator.separate(excerpt.mix), strict=True):
            for logger in self.loggers:
                logger.sound(self.progress.step, name, sound, rate)

    def _limit(self, seconds: float) -> Iterator[TrainingEvent]:
        """Validate on less music from now on if the first time took longer than the limit."""
        candidates = 1 + len(self.recipe.ema)
        limit = self.recipe.validation.limit / candidates
        if not limit or seconds <= limit:
            return
        self.progress.seconds *= limit / seconds
        self.progress.unprocessed = None
        yield Noted(
            f"validating on {self.progress.seconds:.0f} s of music, to stay below the limit"
        )

    # --- Files -----------------------------------------------------------------------------------

    def _save(self) -> None:
        """Save the state and the last weights, unless they already are."""
        progress = self.progress
        if not self.processes.first or self._saved == progress.step:
            return
        state = self.learner.state()
        values = {
            **state.values,
            "guard": self._guard.state(),
            "progress": dataclasses.asdict(progress),
        }
        save_state(TrainingState(state.tensors, values), self.folder.state)
        if self._is_good_state:
            keep_file(self.folder.state, self.folder.good)
            self._has_good_state = True
        keep = self.recipe.checkpoint.keep
        if keep and progress.step % keep == 0:
            keep_file(self.folder.state, self.folder.kept(progress.step))
        self._save_weights(self.folder.last, CURRENT)
        self._saved = progress.step

    def _save_weights(self, path: Any, name: str) -> None:
        """Write the weights ``name`` of the network to ``path``, for ``stemsplit -n``."""
        if not self.processes.first:
            return
        stored = weights.Weights(
            self.recipe.architecture,
            self.learner.network.model.config,
            self.learner.candidates()[name],
            f"{self.origin}, step {self.progress.step}",
        )
        try:
            weights.save(stored, path)
        except OSError as exc:
            raise output_error(exc, path, room=FREE_SPACE) from exc
