"""The objects that commands write as JSON, as man pages describe them and tests check them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

#: Keys of an object -> the type of the value in JSON, and its meaning.
Fields: TypeAlias = Mapping[str, tuple[str, str]]
#: Introductions -> keys. An object has the keys of every introduction that applies to it.
Objects: TypeAlias = Mapping[str, Fields]

SPLIT: Objects = {
    ("With `--json`, one object per line is written for each input, in the order of the inputs:"): {
        "schema": ("integer", "The version of this format: 1."),
        "input": ("string", "The path of the song; `-` is standard input."),
        "status": (
            "string",
            "`done`, `skipped` (all stems already exist) or `failed`; with `--dry-run`, "
            "`would_split` instead of `done`.",
        ),
        "reason": (
            "string or null",
            "The reason for the status: all stems (`new`) or some (`missing`) did not exist; an "
            "`interrupted` run was replacing them; they are `up_to_date`, or were made before the "
            "song changed (`song_changed`); they were `made_otherwise`, belong to another song of "
            "the same name (`other_song`), were `edited` after they were written, or are "
            "`foreign`, not written by stemsplit; with `--skip-existing`, each of them `exists`; "
            "with `--force`, they are `forced`. `null` if the song failed for another reason.",
        ),
        "model": (
            "string",
            "The name of the model, the path of the checkpoint, or the names given to "
            "`--ensemble`, as given.",
        ),
        "stems": (
            "list",
            "A list of objects with `name` and `path` (strings): the stems that were written or, "
            "if `skipped`, exist; empty if `failed`. A stem.mp4 is a single entry named `stems`.",
        ),
        "warnings": (
            "list",
            "Warnings about the song, as strings: damage, gaps in its time stamps, what the format "
            "cannot store. Empty if there are none.",
        ),
    },
    "With `--daw`, also:": {
        "projects": ("list", "A list of objects with `name` (of the program) and `path`."),
    },
    "If the song is done, also:": {
        "sample_rate": ("integer", "The sample rate of the song and its stems, in Hz."),
        "channels": ("integer", "The number of channels of the song and its stems."),
        "frames": ("integer", "The length in samples per channel."),
        "seconds": ("number", "The time that it took."),
    },
    "With `--reference` or `--report`, also:": {
        "scores": ("object", "The object that stemsplit-evaluate(1) describes."),
    },
    ("If the song failed, also (with status `done` if only its scoring failed):"): {
        "error": ("string", "The error message."),
        "hint": ("string or null", "How to fix it, or null."),
        "exit_code": (
            "integer",
            "The exit status for this failure alone. A song that was not tried has that of the "
            "failure that ended the run.",
        ),
    },
}

EVENTS: Objects = {
    (
        "With `--progress ndjson`, every line on standard error is an object that describes an "
        "event (except for the tracebacks of `--debug`):"
    ): {
        "schema": ("integer", "The version of this format: 1."),
        "event": (
            "string",
            "`fetching`, `opened`, `separated` or `finished`; `estimated` at the end of a dry run "
            "that would split songs; `note`, `detail`, `warning` or `error`. Others may be added: "
            "ignore events that you do not know.",
        ),
    },
    "For `fetching`, also:": {
        "model": ("string", "The name of the model whose weights are downloaded."),
        "source": ("string", "The address of the download."),
        "done": ("integer or null", "The number of bytes downloaded so far."),
        "total": ("integer or null", "The size of the download in bytes, if it is known."),
        "stage": ("string", "`download`, or `convert` once everything is downloaded."),
    },
    "For `estimated`, also:": {
        "songs": ("integer", "The number of songs that would be split."),
        "seconds": ("number", "The total length of the songs whose length is known."),
        "of_unknown_length": ("integer", "The number of other songs."),
        "disk": ("integer", "The largest size of their stems, in bytes."),
        "free": ("integer", "The free space where the stems would be written, in bytes."),
        "model": ("string", "The name of the model."),
        "download": (
            "integer or null",
            "The size of the weights that would be downloaded, in bytes, if it is known.",
        ),
    },
    "For `opened`, also:": {
        "input": ("string", "The song, as in the records."),
        "codec": ("string", "The codec of the song, as ffmpeg names it."),
        "sample_rate": ("integer", "The sample rate in Hz."),
        "channels": ("integer", "The number of channels."),
        "duration": ("number or null", "The length in seconds, if the header states it."),
    },
    "For `separated`, also:": {
        "input": ("string", "The song."),
        "done": ("integer", "The number of frames separated so far."),
        "total": ("integer", "The number of frames in the song; `done` reaches it at the end."),
    },
    "For `finished`, also:": {
        "input": ("string", "The song."),
        "frames": ("integer", "The length in samples per channel."),
        "stems": ("object", "The paths of the stems, by name."),
    },
    "For `finished` with `--daw`, also:": {
        "projects": ("object", "The paths of the projects, by program."),
    },
    "For `note`, `detail` and `warning`, also:": {
        "message": ("string", "The text of the message."),
    },
    "For `error`, also:": {
        "error": ("string", "The error message."),
        "hint": ("string or null", "How to fix it, or null."),
        "exit_code": ("integer", "The exit status for this failure alone."),
    },
    "For a `warning` or an `error` about one song, also:": {
        "input": ("string", "The song."),
    },
}

MODELS: Objects = {
    (
        "With `--json`, `list` writes one object per line for each model, and `show` writes a "
        "single object. Whatever does not apply to a model is null or empty."
    ): {
        "schema": ("integer", "The version of this format: 1."),
        "name": ("string", "The name of the model."),
        "description": ("string", "A short description."),
        "stems": ("list", "The names of its stems, in the order of the network's outputs."),
        "sample_rate": (
            "integer",
            "The sample rate of the network, in Hz. Stems have that of the song.",
        ),
        "channels": ("integer", "The number of channels that the network processes."),
        "segment": ("integer", "The length of a segment in samples per channel."),
        "licence": ("string", "The licence of the weights."),
        "licence_source": (
            "string or null",
            "Where the licence is stated; for weights without a licence, where none is stated.",
        ),
        "commercial": (
            "string",
            "Whether commercial use of the weights is allowed: `yes`, `no` or `unclear`.",
        ),
        "licence_note": (
            "string or null",
            "A note shown with the licence before the weights are first downloaded.",
        ),
        "training_data": ("string", "The data that the model was trained on."),
        "paper": ("string or null", "The address of the paper that describes the model."),
        "scores": (
            "list",
            "A list of published scores: objects with `metric`, `dataset`, `source`, and `values`, "
            "in dB by stem, or their `mean` if only that was published.",
        ),
        "overlap": (
            "number or null",
            "The fraction of a segment that overlaps the next one, if it differs from the "
            "network's default.",
        ),
        "window": (
            "string or null",
            "The weighting of overlapping segments, if it differs from the network's default.",
        ),
        "without_weights": ("boolean", "Whether the model works without weights."),
        "architecture": ("string", "The network; empty for an ensemble."),
        "config": ("object", "Settings that differ from the network's defaults."),
        "seed": ("integer or null", "The seed of random weights, for a model for testing."),
        "sources": (
            "list",
            "Where the weights are downloaded from, in the order in which addresses are tried: "
            "objects with `format` and `files`; a file has `address`, `size` and `sha256`, which "
            "is null if its content cannot be verified (there may be a `sha256_prefix` then).",
        ),
        "members": ("list", "The models that an ensemble averages."),
        "weights": ("list", "For an ensemble, a list for each member with a weight for each stem."),
        "group": ("string", "The heading under which `list` shows the model."),
        "here": ("boolean", "Whether the model can be used offline."),
        "verifiable": (
            "boolean",
            "Whether there is a known SHA-256 for its weights, which is checked.",
        ),
        "hidden": (
            "boolean",
            "Whether the table of `list` omits it without `--all`: a member of an ensemble, or a "
            "model for testing.",
        ),
        "receptive_field": (
            "number or null",
            "The longest part of the song that a sample of a stem depends on, in seconds: a whole "
            "segment for most networks. Null if unknown.",
        ),
        "look_ahead": (
            "number or null",
            "How much of the receptive field comes after the sample, in seconds.",
        ),
        "operations": (
            "integer or null",
            "Multiply-adds per second of audio, overlap included; null if unknown.",
        ),
    },
}

DEMO: Objects = {
    ("With `--json`, the record that stemsplit(1) describes is written, followed by an object:"): {
        "schema": ("integer", "The version of this format: 1."),
        "scores": (
            "list",
            "An object for each stem: `stem`, its name; `sdr`, and `sdr_of_the_song`, the score of "
            "the unsplit song, in dB (a number or null).",
        ),
    },
}

EVALUATE: Objects = {
    (
        "With `--json`, one object per line is written for each song. Undefined values are null; "
        'infinity is the string "inf" or "-inf":'
    ): {
        "schema": ("integer", "The version of this format: 2; that of the other objects is 1."),
        "song": (
            "string",
            "The name of the song; for a folder of songs, its path relative to the folder.",
        ),
        "sample_rate": ("integer", "The sample rate of all measurements, in Hz."),
        "frames": ("integer", "The length in samples per channel."),
        "seconds": ("number", "The length of the song in seconds."),
        "window": ("number", "The length of a frame of BSS Eval, in seconds."),
        "hop": ("number", "The distance between the starts of two frames, in seconds."),
        "scores": (
            "list",
            "An object for each stem that has a reference: `name`; `median` and `frames` with "
            "`sdr`, `isr`, `sir` and `sar`; `global_sdr`, `si_sdr`, `si_sir`, `si_sar` and "
            "`log_wmse` in dB; `l1`, the mean absolute difference; `mrstft`, the "
            "multi-resolution STFT distance; `k_sdr`, `bleedless`, `fullness`, `l1_freq`, "
            "`aura_stft` and `aura_mrstft`, from 0 to 100 as leaderboards print them; `delay`, the "
            "number of samples by which the estimate is late; `inverted`, whether its polarity is "
            "inverted.",
        ),
        "measures": (
            "list",
            "An object for each stem: `name`; `loudness` in LUFS; `peak` in dBFS; `true_peak` in "
            "dBTP; `clipped`, the number of clipped samples; `above_11_khz` and `above_16_khz`, "
            "the energy above these frequencies in dB relative to the total; `joins`, the largest "
            "discontinuity relative to the waveform around it, in dB; `correlation` and `overlap` "
            "with each other stem.",
        ),
        "null_residual": (
            "number, string or null",
            "The level of the mixture minus the stems, in dB relative to the mixture; null without "
            "a mixture.",
        ),
        "bss_eval": (
            "string",
            "What computed `sdr`, `isr`, `sir` and `sar`: `own`, or `museval` and its version.",
        ),
        "unreproducible": (
            "list",
            "Those of `isr`, `sir` and `sar` that rounding changes by more than 0.01 dB in some "
            "frame, as far as a single song shows it, because the references have empty bands. "
            "museval's values vary there too.",
        ),
        "replicated": (
            "boolean",
            "Always false. True in records of earlier versions that reproduced museval's rounding.",
        ),
        "remarks": ("list", "Notes on what was aligned, resampled, summed or left out."),
        "estimates": (
            "object",
            "The files of each stem, by its name: objects with `paths` (of the files that are "
            "summed), `streams` (which one of each file, if not the first) and `missing` (stems "
            "that the sum lacks); and `start` and `end` of a part, in seconds.",
        ),
        "references": ("object", "Likewise, for the true stems."),
        "mixture": ("object or null", "Likewise, for the mixture; null without one."),
        "settings": ("object", "The model and its options, if a model was run."),
    },
    "With several sets of stems, each song has one such object for each set, which also has:": {
        "set": ("string", "The name of the set. `null_residual` is null."),
    },
    "The object of a song that failed has `schema`, `song`, and:": {
        "error": ("string", "The error message."),
        "hint": ("string or null", "How to fix it, or null."),
        "exit_code": ("integer", "The exit status for this failure alone."),
    },
    "If several songs were scored, a last object has `schema` and:": {
        "summary": (
            "list",
            "An object for each stem: `name`, `songs` and the values.",
        ),
        "average": ("object", "The mean over the stems of `sdr` and `global_sdr`."),
        "all": (
            "object",
            "Each metric over the stems of all songs together, as in the SiSEC tables: the median "
            "of `sdr`, `isr`, `sir` and `sar`, and the mean of the others.",
        ),
    },
    "With several sets of stems, a last object has `schema` and:": {
        "sets": ("list", "The names of the sets."),
        "songs": ("list", "The names of the songs that all sets have."),
        "comparison": (
            "list",
            "An object for each stem and metric: `stem`; `metric`; `values` by set, over songs; "
            "`best`, the sets with the best value; and `differences`, for each set except the "
            "first: `set`, `minus` (the first set), `median` (of the difference over songs), "
            "`wins` and `losses` (the numbers of songs in which it is better and worse).",
        ),
    },
}

DATA: Objects = {
    ("With `--json`, `check` writes one object per line for each song:"): {
        "schema": ("integer", "The version of this format: 1."),
        "song": ("string", "The name of the song: its path in the data set."),
        "split": (
            "string or null",
            "`train`, `valid` or `test`, if the layout of the data set says so.",
        ),
        "seconds": ("number", "The length of the song in seconds."),
        "stems": ("list", "The names of the stems that the song has."),
        "findings": (
            "list",
            "Objects with `message`; `stems`, the stems that it concerns; and `kind`: `missing`, "
            "`silent`, `clipped`, `misaligned`, `inverted` (polarity), `sum` (the mixture is not "
            "the sum of the stems), `rates`, `channels`, `lengths`, `damaged`, or `remark`.",
        ),
    },
    "The object of a song that cannot be read has `schema`, `song`, and:": {
        "error": ("string", "The error message."),
        "hint": ("string or null", "How to fix it, or null."),
        "exit_code": ("integer", "The exit status for this failure alone."),
    },
    "The last object of `check`, and the only one of `stats`, has `schema` and:": {
        "layouts": ("list", "The names of the layouts of the data sets."),
        "songs": ("integer", "The number of songs; `stats` counts only those that it measured."),
        "splits": ("object", "The numbers of songs by split."),
        "hours": ("number", "The total length in hours."),
    },
    "For `check`, also:": {
        "failed": ("integer", "The number of songs that cannot be read."),
        "findings": ("object", "The numbers of findings by kind."),
        "duplicates": (
            "list",
            "An object for each pair of songs with the same sound: their names `first` and "
            "`second`.",
        ),
    },
    "For `stats`, also:": {
        "sample_rate": ("integer", "The sample rate of all measurements, in Hz."),
        "stems": (
            "list",
            "An object for each stem: `name`; `songs` and `hours` in which it exists; `loudness` "
            "in LUFS (median over songs), `quietest` and `loudest`, or null; and the shares of the "
            "time in which it is `silent` (below -60 dBFS over 0.1 s), and in which it is `alone`.",
        ),
        "sample_mean": ("number", "The mean of the samples of the sum of all stems, in mono."),
        "sample_scale": ("number", "Their standard deviation."),
        "whitening": (
            "object",
            "`mean` and `scale` (the standard deviation) of the magnitudes of the spectrogram of "
            "that sum, as lists by frequency; `size` and `hop` of its frames, in samples.",
        ),
    },
    "With `--json`, `render` writes one object per line for each song:": {
        "schema": ("integer", "The version of this format: 1."),
        "song": ("string", "The folder of the song."),
        "status": ("string", "`done`, `skipped`, or `failed`, with `error`, `hint`, `exit_code`."),
        "style": (
            "string",
            "If it is done: the style of the accompaniment. This, `tempo`, `metre` and `key` are "
            "null with `--stems`.",
        ),
        "tempo": ("number", "The mean tempo in beats per minute."),
        "metre": ("integer", "Beats per bar."),
        "key": ("string", "The key, such as `Eb:maj` or `A:min`."),
        "seconds": ("number", "The length in seconds."),
        "sound_font": ("string or null", "The sound font, or null for built-in instruments."),
    },
    "The file `labels.json` of a rendered song has `schema` (1), what `--json` writes, and:": {
        "name": ("string", "The name of the folder."),
        "seed": ("integer", "The random seed."),
        "number": ("integer", "The number of the song, from 0."),
        "sample_rate": ("integer", "The sample rate in Hz."),
        "beats": (
            "list",
            "The times of all beats in seconds; like the next four, not with `--stems`.",
        ),
        "downbeats": ("list", "Those of the first beat of each bar."),
        "chords": (
            "list",
            "Objects with `start` and `end` in seconds, and `chord`: the root and `maj`, `min`, "
            "`7`, `maj7`, `min7`, `hdim7` or `sus4`.",
        ),
        "notes": (
            "object",
            "By stem, a list of objects with `start` and `end` in seconds, `pitch` (a MIDI number, "
            "or the drum of General MIDI), `velocity` (1 to 127), and `part`, the instrument.",
        ),
        "instruments": (
            "list",
            "Objects with `part` (its name), `stem`, `program` (of General MIDI, counted from 0; "
            "for `drums`, the kit), and `drums`, whether it is a drum kit.",
        ),
        "excerpts": (
            "list",
            "Recordings in the song, which have no notes: objects with `stem`, `song` (the name in "
            "their folder), `from` (where the excerpt starts there), and `start` and `end` in this "
            "song, all in seconds; with `--stems` also `level`, the change of level in dB.",
        ),
    },
}

DOCTOR: Objects = {
    "With `--json`, one object is written:": {
        "schema": ("integer", "The version of this format: 1."),
        "findings": (
            "list",
            "A list of objects with `name`, `status` (`ok`, `note`, or `missing` for a requirement "
            "that is not met), `detail` and `hint` (or null).",
        ),
    },
}
