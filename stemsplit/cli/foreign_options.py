"""The table of options of other programs, with their equivalents in stemsplit.

A row is `same` if an option has an equivalent, and `hint` otherwise. The first column contains the
names of the option, followed by its value: a placeholder in capitals (``KBIT/S``; ``STEM…`` for
several values), or the values that the row is for (``clamp``, ``none|clamp``). The rows of an
option are tried in order. If none matches, an option that stemsplit also has keeps its meaning.

Read from: demucs 4.1.0, spleeter 2.4.2, audio-separator 0.47.1, openunmix 1.3.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple


def _as_is(value: str) -> str:
    return value


class ForeignOption(NamedTuple):
    """An option of another program: ``here`` is its equivalent, ``{}`` its value.

    Without an equivalent, ``hint`` says what to use instead, with ``{}`` for the value.
    If ``values`` is not empty, the row is only for these, otherwise for all values that ``only``
    matches.
    """

    names: tuple[str, ...]
    placeholder: str = ""  # empty: it takes no value
    values: tuple[str, ...] = ()
    only: str = ".*"
    here: str | None = None
    read: Callable[[str], str] = _as_is
    hint: str = ""

    @property
    def takes_several(self) -> bool:
        """Whether all words up to the next option are its values."""
        return self.placeholder.endswith("…")

    def fits(self, value: str | None) -> bool:
        """Return whether the row is for ``value``; None means that the value is missing."""
        if value is None:
            return not (self.values or self.only != ".*")
        if self.values:
            return value.lower() in self.values
        return re.fullmatch(self.only, value, re.DOTALL) is not None


def _row(option: str, **facts: object) -> ForeignOption:
    *names, last = option.split()
    if last.startswith("-"):
        return ForeignOption(names=(*names, last), **facts)  # type: ignore[arg-type]
    values = tuple(last.split("|")) if last == last.lower() else ()
    return ForeignOption(names=tuple(names), placeholder=last, values=values, **facts)  # type: ignore[arg-type]


def same(
    option: str, here: str, *, only: str = ".*", read: Callable[[str], str] = _as_is
) -> ForeignOption:
    """Return the row for an ``option`` that is equivalent to the words ``here``."""
    return _row(option, here=here, only=only, read=read)


def hint(option: str, words: str, *, only: str = ".*") -> ForeignOption:
    """Return the row for an ``option`` without an equivalent; ``words`` say what to use instead."""
    return _row(option, hint=words, only=only)


#: Variables of Spleeter's templates, and their equivalents.
_VARIABLES = {"filename": "track", "instrument": "stem", "codec": "ext"}


def _template(text: str) -> str:
    """Translate a template of Spleeter."""
    for theirs, ours in _VARIABLES.items():
        text = text.replace(f"{{{theirs}}}", f"{{{ours}}}")
    return text


def _undotted(ending: str) -> str:
    return ending.removeprefix(".")


_NUMBER = r"\d+(\.\d*)?"
_SIGNATURE = r"[0-9a-f]{8}"  # of weights of Demucs
_MEMORY = "omit it: memory use is bounded for songs of any length"
_SPEED = "omit it: use --precision and --batch to tune speed"
_VR = "its VR networks are not supported; `stemsplit models list` shows those that are"
_LEVEL = "levels are not changed, so that stems sum to the mix; --clip linked prevents clipping"
_RATE = "stems have the sample rate of the song; ffmpeg -ar changes it"
_LIST = "stemsplit models list"
_MEAN = "--ensemble A,B averages models; `stemsplit models list` shows weighted ensembles"
_FILTER = "omit it: a model is run as it was published"

FOREIGN: Mapping[str, tuple[ForeignOption, ...]] = {
    "demucs": (
        same("--name NAME", "--model {}"),
        same("-s --sig SIGNATURE", "--model {}", only=_SIGNATURE),
        hint("--sig SIGNATURE", "--model takes a name, a signature or a checkpoint file"),
        hint("--repo FOLDER", "use --model {}/FILE, a checkpoint file"),
        hint("--list-models", _LIST),
        same("--shifts 0", "--shifts 1"),
        hint("--no-split", "songs are always split into segments: --segment SECONDS"),
        same("--other-method minus", ""),
        hint(
            "--other-method add",
            "--stems vocals --mix no_vocals=drums+bass+other; --two-stems here works like minus",
        ),
        hint("--other-method none", "--stems vocals instead of --two-stems vocals"),
        same("--mp3", "--format mp3"),
        same("--mp3-bitrate KBIT/S", "--bitrate {}"),
        hint("--mp3-preset N", "omit it: --bitrate or --quality sets the quality of mp3"),
        same("--flac", "--format flac"),
        same("--int24", "--depth 24"),
        same("--float32", "--depth 32f"),
        same("--clip-mode none|clamp", "--clip {}"),
        hint(
            "--clip-mode rescale", "--clip linked reduces the level of all stems of a song equally"
        ),
        hint("-j --jobs 0", "omit it: --jobs is how many songs to decode ahead, at least 1"),
    ),
    "Spleeter": (
        same("-i --inputs FILE", "{}"),
        same("-p --params_filename MODEL", "--model {}"),
        same("--output_path FOLDER", "--out {}"),
        same("-c --codec wav|mp3|ogg|m4a|flac", "--format {}"),
        hint("-c --codec wma", "--format mp3, or another format listed by stemsplit --help"),
        same("-b KBIT/S", "--bitrate {}"),
        same("-s --offset SECONDS", "--start {}", only=_NUMBER),
        hint("-d SECONDS", "--duration {}; -d is the device here", only=_NUMBER),
        hint(
            "-f --filename_format TEMPLATE",
            "--filename '{track}/{stem}.{ext}'; the folder tree is kept without {foldername}",
            only=r".*\{foldername\}.*",
        ),
        same(
            "-f --filename_format TEMPLATE",
            "--filename {}",
            only=r".*\{(filename|instrument|codec)\}.*",
            read=_template,
        ),
        hint("--filename_format TEMPLATE", "--filename '{track}/{stem}.{ext}'"),
        hint("--mwf", _FILTER),
        hint("-a --adapter NAME", "omit it: ffmpeg reads all files"),
    ),
    "audio-separator": (
        same("-m --model_filename NAME", "--model {}"),
        same("--output_format FORMAT", "--format {}"),
        same("--output_bitrate KBIT/S", "--bitrate {}"),
        same("--output_dir FOLDER", "--out {}"),
        same("--single_stem STEM", "--stems {}"),
        hint(
            "--model_file_dir FOLDER",
            "set the environment variable STEMSPLIT_CACHE_DIR to this folder",
        ),
        hint("--download_model_only", "stemsplit models pull NAME"),
        hint("-l --list_models", _LIST),
        hint("--list_filter TEXT", "stemsplit models list --stem {}"),
        hint("--list_limit N", _LIST),
        hint("--list_format FORMAT", "stemsplit models list --json"),
        hint("-e --env_info", "stemsplit doctor"),
        hint("-d FILE", "--debug; -d is the device here", only=r".*\.\w+"),
        hint("--log_level LEVEL", "-v shows more, -q less; --debug shows tracebacks"),
        hint("--normalization LEVEL", _LEVEL),
        hint("--amplification LEVEL", _LEVEL),
        hint("--invert_spect", "--two-stems STEM subtracts the stem from the mix"),
        hint("--sample_rate HZ", _RATE),
        hint("--use_soundfile", "omit it: it makes no difference here"),
        hint("--use_autocast --use_native_fp16", "--precision fp16, the default on CUDA"),
        hint("--use_torch_compile", _SPEED),
        hint("--use_directml", "--device cuda, mps or cpu"),
        hint("--chunk_duration SECONDS", _MEMORY),
        hint("--extra_models NAME…", "--ensemble NAME,{} instead of --model NAME"),
        hint("--ensemble_algorithm NAME", _MEAN),
        hint("--ensemble_weights N…", _MEAN),
        hint("--ensemble_preset NAME", _MEAN),
        hint("--list_presets", _LIST),
        hint("--custom_output_names JSON", "--filename '{track}/{stem}.{ext}'"),
        same("--demucs_shifts 0", "--shifts 1"),
        same("--demucs_shifts N", "--shifts {}"),
        same("--demucs_overlap SHARE", "--overlap {}"),
        same("--demucs_segment_size default", ""),
        same("--demucs_segment_size SECONDS", "--segment {}"),
        same("--demucs_segments_enabled true", ""),
        hint("--demucs_segments_enabled BOOL", "songs are always split into segments: --segment"),
        same("--mdx_batch_size --mdxc_batch_size N", "--batch {}"),
        hint("--mdx_segment_size --mdxc_segment_size N", "--segment SECONDS"),
        hint("--mdxc_override_model_segment_size", "--segment SECONDS"),
        hint("--mdx_overlap --mdxc_overlap N", "--overlap SHARE: 8 windows are 0.875"),
        hint("--mdx_hop_length N", _FILTER),
        hint("--mdx_enable_denoise", "--shifts 2 averages two passes"),
        hint("--mdxc_pitch_shift N", "the pitch cannot be shifted"),
        hint("--vr_batch_size --vr_window_size --vr_aggression N", _VR),
        hint("--vr_post_process_threshold N", _VR),
        hint("--vr_enable_tta --vr_high_end_process --vr_enable_post_process", _VR),
    ),
    "Open-Unmix": (
        same("--targets STEM…", "--stems {}"),
        same("--outdir FOLDER", "--out {}"),
        same("--ext ENDING", "--format {}", read=_undotted),
        same("--no-cuda", "--device cpu"),
        hint(
            "--residual NAME", "--mix {}=mix-vocals-drums, subtracting all stems that are written"
        ),
        hint("--aggregate JSON", "--mix accompaniment=drums+bass+other"),
        hint("--niter --wiener-win-len N", _FILTER),
        hint("--filterbank NAME", _FILTER),
        hint("--audio-backend NAME", "omit it: ffmpeg reads all files"),
    ),
}

_VOCALS = "--two-stems vocals writes the vocals and the song without them, --stems vocals only them"
_WITHOUT = "--stems instrumental; --two-stems vocals also writes the vocals"
_DEPTH = "--depth 16, 24 or 32f"

#: Options of no program that people expect, without dashes, and what to use instead.
EXPECTED: Mapping[str, str] = {
    **dict.fromkeys(("acapella", "acappella", "a-cappella", "vocals", "vocals-only"), _VOCALS),
    **dict.fromkeys(("instrumental", "karaoke", "no-vocals"), _WITHOUT),
    **dict.fromkeys(("normalize", "normalise", "loudness", "gain"), _LEVEL),
    **dict.fromkeys(("samplerate", "sample-rate", "resample", "rate"), _RATE),
    **dict.fromkeys(("bits", "bit-depth", "bitdepth", "float"), _DEPTH),
    **dict.fromkeys(("gpu", "cuda"), "--device cuda"),
    "cpu": "--device cpu",
    "fast": f"{_LIST} --sort speed shows the fastest models",
    "best": f"{_LIST} --sort sdr shows the models with the best scores",
    "workers": "--device cuda:0,cuda:1 shares the songs among GPUs; --threads N is for the CPU",
    "from": "--start",
    "to": "--end",
    "v": "--version",  # -V, as in many programs
    "overwrite": "--force replaces existing files",
    "recursive": "omit it: a folder includes its subfolders",
    "list": _LIST,
}

#: Words after ``models`` that are not commands, and what to type instead.
MODELS_WORDS: Mapping[str, str] = {
    "add": "stemsplit models convert FILE; -n FILE uses a checkpoint as it is",
    "import": "stemsplit models convert FILE; -n FILE uses a checkpoint as it is",
    "info": "stemsplit models show NAME",
    "search": f"{_LIST} --stem vocals",
    "find": f"{_LIST} --stem vocals",
    **dict.fromkeys(("download", "install", "fetch", "get"), "stemsplit models pull NAME"),
    **dict.fromkeys(("remove", "delete", "uninstall"), "stemsplit models rm NAME"),
    "ls": _LIST,
}

#: First words that are neither a command nor a file, and what to type instead.
WORDS: Mapping[str, str] = {
    **MODELS_WORDS,
    "help": "stemsplit --help",
    "version": "stemsplit --version",
    "list": _LIST,
    "list-models": _LIST,
    "show": "stemsplit models show NAME",
    "pull": "stemsplit models pull NAME",
    "rm": "stemsplit models rm NAME",
    "uninstall": "stemsplit models rm NAME removes weights; README says how to uninstall stemsplit",
    "verify": "stemsplit models verify NAME",
    "compare": "stemsplit evaluate A B --references TRUE",
    "convert": "stemsplit models convert FILE",
}
#: Spleeter's name for the command that splits.
SEPARATE = "separate"
