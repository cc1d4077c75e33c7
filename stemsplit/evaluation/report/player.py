"""Prepare what the player of a page plays and shows: versions of stems, and the mixture."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from stemsplit.audio.blocks import Block
from stemsplit.evaluation.report.charts import draw_spectrograms
from stemsplit.evaluation.report.clip import (
    ERROR,
    ESTIMATE,
    MIXTURE,
    REFERENCE,
    AudioClip,
    encode_opus,
)
from stemsplit.evaluation.scores import SongScores

#: What a switch of the player chooses among, with references and without: versions and labels.
WITH_REFERENCES = {REFERENCE: "Reference", ESTIMATE: "Estimate", ERROR: "Error"}
WITH_MIXTURE = {ESTIMATE: "Stems", MIXTURE: "Song"}


def list_versions(song: SongScores, clip: AudioClip | None) -> Mapping[str, str]:
    """Return what the player of ``song`` can switch among, by version; empty for one version."""
    if clip is None:
        return {}
    if song.references:
        return WITH_REFERENCES
    return {} if clip.mixture is None else WITH_MIXTURE


def show_stems(clip: AudioClip, sample_rate: int) -> dict[str, dict[str, Any]]:
    """Return the sounds and spectrograms of each stem in ``clip``, by name."""
    return {
        name: show_sounds(signals, sample_rate, WITH_REFERENCES)
        for name, signals in clip.signals.items()
    }


def show_mixture(clip: AudioClip, sample_rate: int) -> dict[str, Any] | None:
    """Return the sound and the spectrogram of the mixture; None where it is not played."""
    if clip.mixture is None:
        return None
    return show_sounds({MIXTURE: clip.mixture}, sample_rate, WITH_MIXTURE)


def show_sounds(
    signals: Mapping[str, Block], sample_rate: int, labels: Mapping[str, str]
) -> dict[str, Any]:
    """Return the sound and the spectrogram of each version of a stem; ``labels`` name them."""
    pictures, brightest = draw_spectrograms(list(signals.values()), sample_rate)
    return {
        "brightest": brightest,
        "versions": [
            {
                "name": version,
                "label": labels[version],
                "sound": base64.b64encode(encode_opus(signal, sample_rate)).decode(),
                "picture": data_url("image/png", picture),
            }
            for (version, signal), picture in zip(signals.items(), pictures, strict=True)
        ],
    }


def data_url(kind: str, data: bytes) -> str:
    """Return ``data`` of a MIME type as a URL that contains it."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
