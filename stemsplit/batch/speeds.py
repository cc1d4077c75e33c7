"""Record how fast models ran on this machine, to estimate how long later songs will take."""

from __future__ import annotations

import json
import math

from stemsplit.checkpoints.records import read_record, write_record

NAME = "speeds.json"
#: Seconds of audio below which the speed depends more on start-up than on the model.
SHORTEST = 10.0
#: The number of ways to run models that are kept; the oldest are dropped.
MOST = 200


class SpeedRecord:
    """The speed of one way to run a model, identified by ``key``."""

    def __init__(self, *key: object) -> None:
        self._key = json.dumps(key)
        self._audio = self._seconds = 0.0  # of this run

    @property
    def known(self) -> float | None:
        """The speed of an earlier run as a multiple of real time, if there was one."""
        return _read().get(self._key)

    def add(self, audio: float, seconds: float) -> None:
        """Record that ``audio`` seconds of sound took ``seconds``."""
        self._audio += audio
        self._seconds += seconds

    def save(self) -> None:
        """Save the speed of this run for later ones, if it separated enough audio.

        Write errors are ignored, since it is only an estimate.
        """
        if self._audio < SHORTEST or self._seconds <= 0:
            return
        speeds = _read()
        speeds.pop(self._key, None)
        speeds[self._key] = self._audio / self._seconds
        write_record(NAME, speeds, MOST)


def _read() -> dict[str, float]:
    """Return the speeds by key; empty if the file is missing or damaged."""
    return {
        key: speed
        for key, speed in read_record(NAME).items()
        if isinstance(speed, int | float) and math.isfinite(speed) and speed > 0
    }
