"""MMDenseLSTM: MMDenseNet with recurrent layers after some of its dense blocks.

N. Takahashi, N. Goswami, Y. Mitsufuji, "MMDenseLSTM: an efficient combination of convolutional and
recurrent neural networks for audio source separation", IWAENC 2018, arXiv:1805.02410.
"""

from __future__ import annotations

from dataclasses import dataclass

from stemsplit.models.config import FFTLength
from stemsplit.models.mmdensenet import BandConfig, MMDenseNet, MMDenseNetConfig

#: As in public reproductions of the paper.
FULL_2018 = BandConfig(
    bins=2049,
    features=8,
    growth=9 * (7,),
    layers=(3, 3, 4, 5, 5, 5, 4, 3, 3),
    lstm=(0, 0, 0, 0, 128, 0, 0, 128, 0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MMDenseLSTMConfig(MMDenseNetConfig):
    """The network of 2018: its best variant, "sequential after".

    The units of a recurrent layer are those of both directions together, 1,370,784 parameters for
    a source; the paper speaks of 1.22 million.
    """

    n_fft: FFTLength = 4096  # samples of the window
    #: Up to 4.1 kHz, 11 kHz, and the top.
    bands: tuple[BandConfig, ...] = (
        BandConfig(bins=380, growth=7 * (14,), layers=7 * (5,), lstm=(0, 0, 0, 128, 0, 128, 0)),
        BandConfig(bins=644, growth=7 * (4,), layers=7 * (4,), lstm=(0, 0, 0, 32, 0, 0, 0)),
        BandConfig(bins=1025, growth=(2, 2, 0, 2, 2), layers=(1, 1, 0, 1, 1), lstm=(0, 0, 8, 0, 0)),
    )
    full: BandConfig = FULL_2018
    final_growth: int = 12
    final_layers: int = 3
    final_kernel: tuple[int, int] = (3, 3)
    final_dilated: bool = True


class MMDenseLSTM(MMDenseNet):
    """One network per source, and a Wiener filter over all."""

    Config = MMDenseLSTMConfig
