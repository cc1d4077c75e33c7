"""All augmentations by the names that recipes use. A new one is a class, and a row here.

Those that the community's trainer (MSST) has too have its names, and its keys without the prefix:
``pitch_shift_min_semitones: -5`` is ``{name = "pitch_shift", min_semitones = -5}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stemsplit.training.augment.base import EffectAugmentation, SourceAugmentation
from stemsplit.training.augment.channels import ChannelShuffle, Mono, RandomPolarity
from stemsplit.training.augment.codec import CodecRoundTrip, Mp3Compression
from stemsplit.training.augment.distortion import GaussianNoise, SoftLimit, TanhDistortion
from stemsplit.training.augment.equaliser import (
    HighShelf,
    LowShelf,
    Peaking,
    SevenBandParametricEq,
)
from stemsplit.training.augment.levels import Gain, Loudness
from stemsplit.training.augment.remix import Mixup, Remix, Shuffle
from stemsplit.training.augment.rooms import Room, RoomResponse
from stemsplit.training.augment.stretch import PitchShift, Repitch, TimeStretch
from stemsplit.training.augment.timing import RandomInverse, TimeShift

#: Applied to the true sources: the mixture is their sum afterwards.
OF_SOURCES: Mapping[str, type[SourceAugmentation]] = {
    "shuffle": Shuffle,
    "remix": Remix,
    "mixup": Mixup,
    "time_shift": TimeShift,
    "random_inverse": RandomInverse,
    "channel_shuffle": ChannelShuffle,
    "random_polarity": RandomPolarity,
    "mono": Mono,
    "gain": Gain,
    "loudness": Loudness,
    "pitch_shift": PitchShift,
    "time_stretch": TimeStretch,
    "repitch": Repitch,
    "seven_band_parametric_eq": SevenBandParametricEq,
    "low_shelf": LowShelf,
    "peaking": Peaking,
    "high_shelf": HighShelf,
    "tanh_distortion": TanhDistortion,
    "soft_limit": SoftLimit,
    "gaussian_noise": GaussianNoise,
    "mp3_compression": Mp3Compression,
    "codec_round_trip": CodecRoundTrip,
    "room": Room,
    "room_response": RoomResponse,
}


@dataclass(frozen=True, slots=True)
class OfMixture:
    """An effect on the mixture alone, and why its sources do not sum to it afterwards."""

    effect: type[EffectAugmentation]
    reason: str


_CODED = "a song is compressed as a whole; what a codec adds belongs to no source"
#: Applied to the mixture alone. Linear effects are missing: with ``per = "song"``, the same effect
#: on all sources is that on their mixture.
OF_MIXTURE: Mapping[str, OfMixture] = {
    "mp3_compression_on_mixture": OfMixture(Mp3Compression, _CODED),
    "codec_round_trip_on_mixture": OfMixture(CodecRoundTrip, _CODED),
    "tanh_distortion_on_mixture": OfMixture(
        TanhDistortion, "the distortion of a sum is not the sum of distorted sources"
    ),
    "soft_limit_on_mixture": OfMixture(
        SoftLimit, "only the mixture is limited; the sources remain as they were before mastering"
    ),
}
