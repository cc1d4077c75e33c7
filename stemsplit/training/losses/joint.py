"""Losses of heads, which learn with the network: activity of sources, pitch of a source.

Axes: ``B`` batch, ``S`` sources, ``C`` channels, ``T`` samples, ``N`` frames, ``K`` values that a
head estimates for a frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from stemsplit.models.base import SeparationModel
from stemsplit.models.config import Count
from stemsplit.training.heads import Basis, Head, separated_frames, width_of
from stemsplit.training.labels import activity, pitch_salience, resample_labels, track_pitch
from stemsplit.training.losses.base import Term, require_sources
from stemsplit.training.losses.settings import Above0, Given, TermConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadConfig(TermConfig):
    """Settings of a head. ``stems`` are those whose activity it learns, with their weights."""

    basis: Basis = "features"
    width: Count = 128  # values between the two layers of the head


class JointTerm(Term):
    """A `Head` over features or separated spectra, and the loss of its logits.

    The head is part of the loss, whose parameters belong to the optimizer beside the network's; no
    checkpoint has them.
    """

    def __init__(
        self, config: HeadConfig, model: SeparationModel, names: Sequence[str], outputs: int
    ) -> None:
        """``names`` are the sources that the head is about, ``outputs`` its values for a frame."""
        super().__init__(config, model)
        require_sources(tuple(names), model.sources)
        self.places = [model.sources.index(name) for name in names]
        self.basis = config.basis
        self.head = Head(width_of(self.basis, model, len(names)), outputs, config.width)

    def logits(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Return the logits ``(B, K, N)`` of the head."""
        if self.basis == "features":
            found: Tensor = self.head(outputs["features"])
        else:
            found = self.head(separated_frames(outputs["sources"][:, self.places]))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityConfig(HeadConfig):
    """Settings of an activity head."""

    #: A frame of a source is active above this level, in dB of full scale.
    threshold: float = -50.0


class Activity(JointTerm):
    """Which sources sound: binary cross entropy for each frame, from the level of the sources.

    One stem, "vocals", makes it a detector of the voice; by default it is about all instruments.
    """

    Config = ActivityConfig

    def __init__(self, config: ActivityConfig, model: SeparationModel) -> None:
        names = tuple(config.stems) or model.sources
        super().__init__(config, model, names, len(names))
        self.threshold = config.threshold

    def losses(self, outputs: Mapping[str, Tensor], sources: Tensor, mix: Tensor) -> Tensor:
        """Return the loss ``(S,)`` of each source; 0 for those that the head is not about.

        ``true_activity`` ``(B, S, n)`` in ``outputs`` replaces the labels made from the level.
        """
        logits = self.logits(outputs)
        frames = logits.shape[-1]
        if "true_activity" in outputs:
            labels = resample_labels(outputs["true_activity"], frames)
        else:
            labels = activity(sources, frames, self.threshold)
        errors = functional.binary_cross_entropy_with_logits(
            logits, labels[:, self.places].to(logits), reduction="none"
        )
        losses = logits.new_zeros(sources.shape[1])
        return losses.index_copy(0, losses.new_tensor(self.places).long(), errors.mean((0, 2)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PitchConfig(HeadConfig):
    """Settings of a pitch head: 60 bins in each of 6 octaves from C1, as A. Jansson et al. have."""

    #: The source, which has to be monophonic.
    stem: Given
    basis: Basis = "spectra"
    lowest: Above0 = 32.703  # Hz
    octaves: Count = 6
    per_octave: Count = 60

    def validate(self) -> None:
        """Raise ``ValueError`` for weights of stems."""
        if self.stems:
            raise ValueError("stems do not apply: the head is about one stem")


class Pitch(JointTerm):
    """The pitch of a source: binary cross entropy of each bin of a salience map."""

    Config = PitchConfig

    def __init__(self, config: PitchConfig, model: SeparationModel) -> None:
        self.bins = config.octaves * config.per_octave
        super().__init__(config, model, (config.stem,), self.bins)
        self.settings = config
        self.sample_rate = model.sample_rate
        self.highest = min(config.lowest * 2**config.octaves, model.sample_rate / 4)

    def losses(self, outputs: Mapping[str, Tensor], sources: Tensor, mix: Tensor) -> Tensor:
        """Return the loss ``()``.

        ``true_pitch`` ``(B, n)`` in ``outputs``, in Hz and 0 without a pitch, replaces the labels
        that the source is tracked for.
        """
        logits = self.logits(outputs)
        settings, frames = self.settings, logits.shape[-1]
        if "true_pitch" in outputs:
            pitch = resample_labels(outputs["true_pitch"], frames)
        else:
            pitch = track_pitch(
                sources[:, self.places[0]],
                frames,
                self.sample_rate,
                lowest=settings.lowest,
                highest=self.highest,
            )
        salience = pitch_salience(pitch, settings.lowest, self.bins, settings.per_octave)
        return functional.binary_cross_entropy_with_logits(logits, salience.to(logits))
