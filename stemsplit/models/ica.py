"""Independent component analysis of stereo: two sources at different positions between left and
right, separated by their statistical independence alone.

A. Hyvärinen, "Fast and robust fixed-point algorithms for independent component analysis", IEEE
Transactions on Neural Networks 10 (1999). Two channels carry two sources at most, mixed without
delay. Order, sign and loudness of components are arbitrary; here each source is returned as it
sounds in the stereo mix, and the one further to the left comes first, so that the order stays the
same from one segment to the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stemsplit.models.base import SeparationModel
from stemsplit.models.config import CheckedConfig, Rate, Segment, TwoSources

#: Number of rotations within a quarter turn, of which the best is the start. Otherwise the
#: iteration could get stuck if the two sources are equally far left and right.
STARTS = 16
ITERATIONS = 50
TOLERANCE = 1e-6  # radians
#: E[log cosh v] of a normal distribution of deviation 1.
NORMAL_LOG_COSH = 0.374567
#: The least variance of a component, relative to the loudest: a mono song has only one component.
VARIANCE_FLOOR = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class ICAConfig(CheckedConfig):
    """Each source keeps its position for half a minute."""

    sources: TwoSources = ("source_1", "source_2")
    sample_rate: Rate = 44_100  # Hz
    segment: Segment = 1_323_000  # frames of audio: 30 s


class ICA(SeparationModel):
    """FastICA with log cosh, from the best of a few starts; the sources sum to the mixture."""

    Config = ICAConfig
    any_length = True
    least_length = 1.0  # the more it knows of the song, the better

    def __init__(self, config: ICAConfig) -> None:
        super().__init__(config, channels=2)

    def forward(self, mix: Tensor) -> Tensor:
        """Return the sources ``(B, S, C, T)`` of ``mix`` ``(B, C, T)``; the same ``T``."""
        with torch.autocast(mix.device.type, enabled=False):
            return torch.stack([separate(song) for song in mix.float()])


def separate(mix: Tensor) -> Tensor:
    """Return the two sources ``(S, C, T)`` as they sound in ``mix`` ``(C, T)``, left one first."""
    # In fp64: if a mix is almost mono, fp32 cannot resolve the smaller variance.
    centred = mix.double() - mix.double().mean(dim=1, keepdim=True)
    variances, axes = torch.linalg.eigh(centred @ centred.T / mix.shape[1])
    variances = variances.clamp(min=max(float(variances[-1]) * VARIANCE_FLOOR, 1e-30))
    deviations = variances.sqrt()
    white = (axes.T @ centred) / deviations[:, None]
    rotation = _rotation(find_angle(white.float())).to(white)
    mixing = axes @ (deviations[:, None] * rotation.T)
    unmixing = rotation @ (axes.T / deviations[:, None])
    left_first = torch.atan2(mixing[1].abs(), mixing[0].abs()).argsort(stable=True)
    components = (unmixing @ mix.double())[left_first]
    images: Tensor = mixing.T[left_first][:, :, None] * components[:, None]
    return images.float()


def find_angle(white: Tensor) -> float:
    """Return the rotation in radians that makes ``white`` ``(2, T)`` as independent as possible.

    ``white`` has variance 1 in all directions. Starts with the rotation among `STARTS` whose
    components are least normal, then iterates to the fixed point of Hyvärinen's symmetric method.
    """
    starts = [number * math.pi / 2 / STARTS for number in range(STARTS)]
    angle = max(starts, key=lambda start: _negentropy(_rotation(start).to(white) @ white))
    for _ in range(ITERATIONS):
        components = _rotation(angle).to(white) @ white
        bent = components.tanh()
        slopes = (1 - bent.square()).mean(dim=1)
        step = bent @ components.T / white.shape[1] - slopes.diag()
        # The nearest rotation to the updated rows. Components may change their signs.
        signs = torch.where(step.diag() < 0, -1.0, 1.0)
        left, _, right = torch.linalg.svd(step * signs[:, None])
        turn = left @ right
        change = math.atan2(float(turn[0, 1]), float(turn[0, 0]))
        angle += change
        if abs(change) < TOLERANCE:
            break
    return angle


def _rotation(angle: float) -> Tensor:
    cosine, sine = math.cos(angle), math.sin(angle)
    return torch.tensor([[cosine, sine], [-sine, cosine]])


def _negentropy(components: Tensor) -> float:
    """Return how far ``components`` ``(S, T)`` are from normal: the sum of squared differences."""
    magnitude = components.abs()
    log_cosh = magnitude + torch.log1p(torch.exp(-2 * magnitude)) - math.log(2)
    return float((log_cosh.mean(dim=1) - NORMAL_LOG_COSH).square().sum())
