"""The Python interface: songs as files or as tensors."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, get_args, overload

import torch
from torch import Tensor
from torch.nn.functional import pad

from stemsplit.audio.excerpt import Excerpt, cut
from stemsplit.audio.format_table import FORMATS
from stemsplit.audio.probe import probe
from stemsplit.audio.writable import refuse_existing
from stemsplit.checkpoints import loading
from stemsplit.errors import UsageError
from stemsplit.handoff.programs import parse_daws
from stemsplit.outputs.naming import (
    DEFAULT_FOLDER,
    DEFAULT_TEMPLATE,
    Names,
    Places,
    check_collisions,
    template_for,
)
from stemsplit.outputs.selection import select_stems
from stemsplit.separation.delivery import as_files, project_paths
from stemsplit.separation.device import resolve_device
from stemsplit.separation.engines import load_engine
from stemsplit.separation.job import Job
from stemsplit.separation.pipeline import narrow, split, widen
from stemsplit.separation.queue import SegmentQueue
from stemsplit.separation.tensor_resample import resample_tensor
from stemsplit.types import (
    Batch,
    Clip,
    Codec,
    Depth,
    EncodingOptions,
    EngineOptions,
    Finished,
    Format,
    Precision,
)

#: Below this, nothing that is called music is left, and resampling takes for ever.
LOWEST_SAMPLE_RATE = 1_000  # Hz


class Separator:
    """A model, loaded once, that splits any number of songs.

    ``model`` is a name of the registry or a checkpoint file; its weights are fetched if they are
    not here, unless ``offline``; those whose SHA-256 nobody has published only if
    ``allow_unverified``. ``stems`` (all of the model's by default) or ``two_stems`` (one stem and
    the rest of the mix) choose what comes out; ``stems`` is then the tuple of names.
    ``device`` is ``auto``, ``cuda``, ``cuda:N``, ``mps`` or ``cpu``; ``precision`` ``auto``
    (fp16 on CUDA, fp32 elsewhere), ``fp32``, ``fp16`` or ``bf16``; ``overlap`` the share of a
    segment that overlaps the next, ``segment`` its length in seconds; ``batch`` the number of
    segments in one run of the network, or ``auto`` for as many as fit into the memory that is free.
    The song is heard ``shifts`` times, each time shifted by an amount that depends on ``seed``, and
    the stems are averaged. ``model`` may also be several names with commas between them: the mean
    of these. ``mixes`` and ``sum_to_mix`` are those of `selection.select_stems`.

    Raises ``UsageError`` (also a ``ValueError``) for unknown names, ``CheckpointError`` for weights
    that cannot be had, ``ResourceError`` for a device that is not here or has too little memory.
    """

    def __init__(
        self,
        model: str = "htdemucs",
        *,
        stems: Sequence[str] | None = None,
        two_stems: str | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        overlap: float | None = None,
        segment: float | None = None,
        batch: Batch = None,
        shifts: int = 1,
        seed: int = 0,
        mixes: Sequence[str] = (),
        sum_to_mix: str | None = None,
        offline: bool = False,
        allow_unverified: bool = False,
    ) -> None:
        _check_choice("precision", precision, Precision)
        if isinstance(batch, int) and batch < 1:
            raise UsageError(f"batch must be at least 1, not {batch}")
        if overlap is not None and not 0 <= overlap < 1:
            raise UsageError(f"overlap must be at least 0 and below 1, not {overlap}")
        if shifts < 1:
            raise UsageError(f"shifts must be at least 1, not {shifts}")
        resolve_device(device)  # before anything is fetched
        self.model = model
        self._selection = select_stems(
            loading.stems_of(model), stems, two_stems, mixes=mixes, sum_to_mix=sum_to_mix
        )
        needed = self._selection.needed
        for _ in loading.prepare(
            model, stems=needed, offline=offline, allow_unverified=allow_unverified
        ):
            pass
        self._engine = load_engine(
            model,
            needed,
            EngineOptions(
                device=device,
                precision=precision,
                overlap=overlap,
                segment=segment,
                batch=batch,
                shifts=shifts,
                seed=seed,
            ),
        )

    @property
    def stems(self) -> tuple[str, ...]:
        """The names of the stems that come out, in order."""
        return self._selection.wanted

    @property
    def sample_rate(self) -> int:
        """The rate in Hz that the model works at; other rates are resampled to it and back."""
        return self._engine.sample_rate

    def separate(self, mix: Tensor, sample_rate: int | None = None) -> dict[str, Tensor]:
        """Return the stems of ``mix`` ``(C, T)`` or ``(B, C, T)`` by name, each of its shape.

        ``C`` is 1 or 2, full scale ±1.0, ``sample_rate`` in Hz (the model's by default). The stems
        are float32 on the device of ``mix``. Each item of a batch is a song of its own. Raises
        ``UsageError`` for another shape and for values that are no numbers.
        """
        if not isinstance(mix, Tensor) or not mix.is_floating_point():
            kind = mix.dtype if isinstance(mix, Tensor) else type(mix).__name__
            raise UsageError(
                f"a mix is a tensor of floating point, not {kind}",
                hint="torch.from_numpy(array).float(); integers are divided by their full scale",
            )
        if mix.ndim not in (2, 3) or mix.shape[-2] not in (1, 2) or mix.numel() == 0:
            raise UsageError(
                f"a mix is (C, T) or (B, C, T) with 1 or 2 channels and B, T > 0, not "
                f"{tuple(mix.shape)}"
            )
        if sample_rate is not None and sample_rate < LOWEST_SAMPLE_RATE:
            raise UsageError(
                f"a sample rate is at least {LOWEST_SAMPLE_RATE} Hz, not {sample_rate}"
            )
        mix = mix.detach().float()
        if not bool(torch.isfinite(mix).all()):
            raise UsageError("the mix holds values that are no numbers (NaN or infinite)")
        songs = mix if mix.ndim == 3 else mix[None]
        rate = self.sample_rate if sample_rate is None else sample_rate
        line = SegmentQueue()  # short ones share batches
        waiting = [self._hear(song, rate, line) for song in songs]
        separated = torch.stack(
            [self._finish(stems, song, rate) for stems, song in zip(waiting, songs, strict=True)]
        )
        stems = separated if mix.ndim == 3 else separated[0]
        named = dict(zip(self._selection.needed, stems.unbind(-3), strict=True))
        return self._selection.combine(named, mix, self.stems)

    def _hear(self, song: Tensor, sample_rate: int, line: SegmentQueue) -> Iterator[Tensor]:
        """Return blocks of the stems of ``song`` ``(C, T)`` as the model gives them."""
        engine = self._engine
        heard = resample_tensor(song, sample_rate, engine.sample_rate)
        mono = heard.double().mean(dim=0)
        deviation = float(mono.std()) if len(mono) > 1 else 0.0
        return engine.separate(
            [widen(heard, engine.channels)],
            mean=float(mono.mean()),
            deviation=deviation,
            line=line,
        )

    def _finish(self, blocks: Iterator[Tensor], song: Tensor, sample_rate: int) -> Tensor:
        """Return the needed stems ``(S, C, T)`` of ``song`` ``(C, T)``."""
        engine = self._engine
        picked = [engine.sources.index(name) for name in self._selection.needed]
        stems = narrow(torch.cat(list(blocks), -1)[picked], len(song))
        back = resample_tensor(stems.flatten(0, 1), engine.sample_rate, sample_rate)
        # Resampling there and back may lose or gain a frame or two at the end.
        missing = song.shape[-1] - back.shape[-1]
        return pad(back, (0, missing)).view(len(picked), *song.shape)

    def separate_file(
        self,
        song: str | os.PathLike[str],
        out: str | os.PathLike[str] = DEFAULT_FOLDER,
        *,
        filename: str = DEFAULT_TEMPLATE,
        format: Format = "wav",
        codec: Codec | None = None,
        depth: Depth | None = None,
        bitrate: int | None = None,
        quality: int | None = None,
        dither: bool = True,
        clip: Clip | None = None,
        tags: bool = True,
        daw: Sequence[str] = (),
        force: bool = False,
        accept_truncated: bool = False,
        start: float | None = None,
        end: float | None = None,
    ) -> dict[str, Path]:
        """Split the file ``song``, from ``start`` to ``end`` (s), and return its stems by name.

        They are below ``out`` by the template ``filename``, exactly as long as the song, at its
        sample rate and with its channels. Memory does not depend on the length of the song. Of the
        format ``stem.mp4`` there is one file, called ``stems``, of the song and four stems.
        ``codec``, ``depth``, ``bitrate`` (kbit/s), ``quality``, ``dither``, ``clip`` and ``tags``
        are those of ``EncodingOptions``. The projects of the programs ``daw`` ("reaper",
        "dawproject") stand beside the stems, and are returned with them. Raises ``InputError``,
        ``OutputError``, ``UsageError`` and ``ResourceError``; no file is left then.
        """
        excerpt = Excerpt(start=start, end=end)
        _check_choice("format", format, Format)
        if codec is not None:
            _check_choice("codec", codec, Codec)
        if depth is not None:
            _check_choice("depth", depth, Depth)
        if clip is not None:
            _check_choice("clip", clip, Clip)
        encoding = EncodingOptions(
            format=format,
            codec=codec,
            depth=depth,
            bitrate=bitrate,
            quality=quality,
            dither=dither,
            clip=clip,
            tags=tags,
        )
        if isinstance(daw, str):
            raise UsageError(f"daw is a sequence of names, not {daw!r}")
        daws = parse_daws(daw)
        template = template_for(filename, format)
        selection = as_files(self._selection, encoding, template, daws)
        song = Path(song)
        names = Names(
            track=song,
            folder=Path(out),
            template=template,
            extension=FORMATS[format].extension,
            model=loading.label(self.model),
        )
        outputs = names.of_stems(selection.wanted)
        projects = project_paths(names, daws)
        files = [*outputs.values(), *projects.values()]
        check_collisions({song: files}, Places())
        for path in files:
            refuse_existing(path, force=force)
        job = Job(
            info=cut(probe(song), excerpt),
            selection=selection,
            outputs=outputs,
            encoding=encoding,
            projects=projects,
            stems=outputs,
            force=force,
            accept_truncated=accept_truncated,
        )
        with closing(split(job, self._engine)) as events:
            finished = next(event for event in events if isinstance(event, Finished))
        return finished.stems | dict[str, Path](finished.projects.items())


def _check_choice(name: str, value: str, choices: Any) -> None:
    """Raise ``UsageError`` unless ``value`` is one of ``choices``, a ``Literal``."""
    if value not in get_args(choices):
        known = ", ".join(get_args(choices))
        raise UsageError(f"unknown {name} {value!r}", hint=f"it is one of: {known}")


def _only_of_files() -> list[str]:
    """Return the options that `separate` hands to `Separator.separate_file`."""
    parameters = inspect.signature(Separator.separate_file).parameters.values()
    return [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]


@overload
def separate(song: Tensor, model: str = ..., **options: Any) -> dict[str, Tensor]: ...
@overload
def separate(song: str | os.PathLike[str], model: str = ..., **options: Any) -> dict[str, Path]: ...
def separate(
    song: Tensor | str | os.PathLike[str],
    model: str = "htdemucs",
    *,
    sample_rate: int | None = None,
    out: str | os.PathLike[str] | None = None,
    **options: Any,
) -> dict[str, Tensor] | dict[str, Path]:
    """Return the stems of ``song`` by name: tensors of its shape for a tensor, files for a file.

    A tensor is ``(C, T)`` or ``(B, C, T)`` at ``sample_rate`` Hz; the stems of a file are written
    below ``out``. ``options`` are those of ``Separator`` and, for a file, those of
    ``Separator.separate_file``. Use ``Separator`` for more than one song. Raises what these raise.
    """
    of_files = {name: options.pop(name) for name in _only_of_files() if name in options}
    if isinstance(song, Tensor):
        if of_files or out is not None:
            raise UsageError(f"{', '.join(of_files) or 'out'} is for files, not for tensors")
        return Separator(model, **options).separate(song, sample_rate)
    if not isinstance(song, str | os.PathLike):
        raise UsageError(f"a song is a tensor or the path of a file, not {type(song).__name__}")
    if sample_rate is not None:
        raise UsageError("sample_rate is for tensors: a file knows its own")
    folder = DEFAULT_FOLDER if out is None else out
    return Separator(model, **options).separate_file(song, folder, **of_files)
