"""The interface of all networks, so that code outside ``models/`` need not know any of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from stemsplit.models.config import LONGEST_SEGMENT
from stemsplit.types import Window


class SeparationModel(nn.Module):
    """A network that separates a mixture into sources, waveform to waveform.

    STFT, masks and post-filters are part of it. A subclass has a `CheckedConfig` as ``Config``,
    whose defaults are the published values, takes one as its only constructor argument, and defines
    `forward`, or `training_outputs` if training needs more than the sources.
    """

    Config: ClassVar[type[Any]]

    sources: tuple[str, ...]  # names of the S axis, in order
    sample_rate: int  # Hz
    channels: int
    segment: int  # frames of audio the network is run on at a time
    #: Whether the song is shifted and scaled to mean 0 and deviation 1 (of the average of its
    #: channels) before it is processed, and back afterwards.
    standardised: bool = False
    #: Fraction of a segment that overlaps the next one, and the weights of overlapping segments:
    #: rising to the middle, as in Demucs, or flat with a fade of a tenth at each end, as in the
    #: community's trainer, which also reflects the song at both ends. The registry may override
    #: both for a checkpoint.
    overlap: float = 0.25
    window: Window = "triangle"
    #: Whether the network processes any length up to ``segment``: a segment at the end of a song is
    #: not padded with zeros, and starts at a multiple of ``alignment`` frames of the song.
    any_length: bool = False
    alignment: int = 1
    #: The smallest part of ``segment`` that such a network is run on, if the song is that long: a
    #: shorter end of a song is preceded by the audio before it.
    least_length: float = 0.25
    #: If not None, the rest at the end of a song is a separate segment, and each segment has this
    #: many frames of the song on either side, zeros outside the song. If above 0, `forward` takes
    #: it as its second argument, and returns the sources without the context.
    context: int | None = None
    #: Whether ``segment`` is the longest input that the network can process.
    fixed_segment: bool = False
    #: Number of values for a frame of the ``features`` among `training_outputs`; 0: none.
    feature_width: int = 0
    #: Whether the stems of a segment are unnamed clusters, which `order_after` matches to those of
    #: the previous segment.
    clusters: bool = False

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        """Raise ``TypeError`` for a class that computes nothing itself, unless it is ``abstract``.

        `forward` and `training_outputs` below call each other, so one of them must be replaced. A
        base class that leaves this to its subclasses is declared with ``abstract=True``.
        """
        super().__init_subclass__()
        inherited = (SeparationModel.forward, SeparationModel.training_outputs)
        if not abstract and (cls.forward, cls.training_outputs) == inherited:
            raise TypeError(f"{cls.__name__} must define forward or training_outputs")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a network with ``config``: fields of ``cls.Config``, as read from TOML or JSON.

        Lists become tuples. Raises ``TypeError`` for an unknown field.
        """
        fields = {key: tuple(v) if isinstance(v, list) else v for key, v in config.items()}
        return cls(cls.Config(**fields))

    @property
    def reach(self) -> tuple[int, int]:
        """How many frames before and after it a sample of the sources depends on, at most.

        The whole segment by default, because of attention, recurrence in both directions, and
        statistics of the whole mix; a network that sees less overrides this.
        """
        return self.segment, self.segment

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration as plain values, ready for JSON."""
        return dataclasses.asdict(self._config)

    def __init__(
        self,
        config: Any,
        *,
        channels: int | None = None,
        sample_rate: int | None = None,
        segment: int | None = None,
    ) -> None:
        """Store ``config``; ``channels``, ``sample_rate`` (Hz), ``segment`` (frames) are from it.

        A network passes those that its ``config`` does not have, or uses differently. Raises
        ``ValueError`` if several fields of the configuration result in too long a segment.
        """
        super().__init__()
        self._config = config
        self.sources = config.sources
        self.sample_rate = config.sample_rate if sample_rate is None else sample_rate
        self.channels = config.channels if channels is None else channels
        self.segment = config.segment if segment is None else segment
        if self.segment > LONGEST_SEGMENT:
            raise ValueError(f"its segment has {self.segment} frames, above {LONGEST_SEGMENT}")

    def forward(self, mix: Tensor) -> Tensor:
        """Return the sources ``(B, S, C, T)`` of ``mix`` ``(B, C, T)``; the same ``T``."""
        return self.training_outputs(mix)["sources"]

    def training_outputs(self, mix: Tensor) -> dict[str, Tensor]:
        """Return what training needs of ``mix`` ``(B, C, T)``, at least ``sources``: `forward`.

        A network with masks also returns its ``magnitudes`` ``(B, S, C, F, N)``, and has a method
        ``transform`` from waves ``(..., T)`` to the spectra ``(..., F', N)``, F' >= F, that they
        are parts of. A network with ``feature_width`` H also returns ``features`` ``(B, H, N')``,
        N' frames that divide T evenly, from which other tasks can be learned beside the masks.
        """
        return {"sources": self(mix)}

    def adapt_to(self, mix: Tensor) -> None:
        """Set what depends on the data before training starts, from mixtures ``(B, C, T)``.

        By default, nothing does.
        """

    def order_after(self, before: Tensor, now: Tensor) -> Tensor:
        """Return the order ``(S,)`` in which the stems ``now`` continue the stems ``before``.

        Both are ``(S, C, n)``: the frames that two segments of a song share, from the earlier and
        from the later segment. By default, the order does not change.
        """
        return torch.arange(len(now), device=now.device)
