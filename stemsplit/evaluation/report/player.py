"""Prepare the sounds and spectrograms for the player: versions of stems, and the mixture."""

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

#: The versions that a switch of the player offers, and their labels, with and without references.
WITH_REFERENCES = {REFERENCE: "Reference", ESTIMATE: "Estimate", ERROR: "Error"}
WITH_MIXTURE = {ESTIMATE: "Stems", MIXTURE: "Song"}


def list_versions(song: SongScores, clip: AudioClip | None) -> Mapping[str, str]:
    """Return the labels of the versions to switch between, by version; empty if only one."""
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
    """Return the sound and the spectrogram of the mixture; None if it is not played."""
    if clip.mixture is None:
        return None
    return show_sounds({MIXTURE: clip.mixture}, sample_rate, WITH_MIXTURE)


def show_sounds(
    signals: Mapping[str, Block], sample_rate: int, labels: Mapping[str, str]
) -> dict[str, Any]:
    """Return the sound and the spectrogram of each version of a stem, with ``labels``."""
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
    """Return ``data`` with the MIME type ``kind`` as a data URL."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
