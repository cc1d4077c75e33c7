"""The objects that commands write as JSON: what man pages say of them, and tests hold them to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

#: Keys of an object -> what JSON has there, and what that means.
Fields: TypeAlias = Mapping[str, tuple[str, str]]
#: Introductions -> keys. An object has the keys of all introductions that are true of it.
Objects: TypeAlias = Mapping[str, Fields]

SPLIT: Objects = {
    ("With `--json` there is one object a line for each input, in the order of the inputs:"): {
        "schema": ("integer", "The version of this description: 1."),
        "input": ("string", "The path of the song; `-` is standard input."),
        "status": (
            "string",
            "`done`, `skipped` (all is there already) or `failed`; with `--dry-run` "
            "`would_split` in place of `done`.",
        ),
        "reason": (
            "string or null",
            "Why: all of the stems (`new`) or some (`missing`) did not exist; an `interrupted` run "
            "was replacing them; they are `up_to_date`, or of the song before it changed "
            "(`song_changed`); they were `made_otherwise`, are of another song of this name "
            "(`other_song`), were `edited` since they were written, or are `foreign`, not "
            "stemsplit's; with `--skip-existing` all `exists`, with `--force` they are `forced`. "
            "`null` for a failure of another kind.",
        ),
        "model": (
            "string",
            "The name of the model, the path of the checkpoint, or the names given to "
            "`--ensemble`, as they were given.",
        ),
        "stems": (
            "list",
            "A list of objects with `name` and `path` (strings), of what was written or, with "
            "`skipped`, is there; with `failed` it is empty. A stem.mp4 is one, called "
            "`stems`.",
        ),
        "warnings": (
            "list",
            "What is worth knowing of the song, as strings: damage, gaps in its time stamps, "
            "what the format cannot store. Empty if there is nothing.",
        ),
    },
    "With `--daw`, also:": {
        "projects": ("list", "A list of objects with `name`, that of the program, and `path`."),
    },
    "Of a song that is done, also:": {
        "sample_rate": ("integer", "Of the song and its stems, in Hz."),
        "channels": ("integer", "Of the song and its stems."),
        "frames": ("integer", "How many samples a channel has."),
        "seconds": ("number", "How long it took."),
    },
    "With `--reference` or `--report`, also:": {
        "scores": ("object", "The object that stemsplit-evaluate(1) describes."),
    },
    ("Of a song that failed, also (with the status `done`, if only its scoring failed):"): {
        "error": ("string", "What went wrong."),
        "hint": ("string or null", "What to do about it, or null."),
        "exit_code": (
            "integer",
            "The exit status that this failure alone would give. A song that was not tried "
            "has that of the failure that ended the run.",
        ),
    },
}

EVENTS: Objects = {
    (
        "With `--progress ndjson` every line on standard error is an object that tells of an "
        "event (but for the tracebacks of `--debug`):"
    ): {
        "schema": ("integer", "The version of this description: 1."),
        "event": (
            "string",
            "`fetching`, `opened`, `separated` or `finished`; `estimated` at the end of a dry run "
            "that would split songs; `note`, `detail`, `warning` or `error`. There may be others "
            "in time: pass over what you do not know.",
        ),
    },
    "Of `fetching`, also:": {
        "model": ("string", "The name of the model whose weights are fetched."),
        "source": ("string", "Where they come from."),
        "done": ("integer or null", "How many bytes are here."),
        "total": ("integer or null", "How many there are to be, if that is known."),
        "stage": ("string", "`download`, or `convert` when all is here and being converted."),
    },
    "Of `estimated`, also:": {
        "songs": ("integer", "How many songs would be split."),
        "seconds": ("number", "The length of those whose length is known."),
        "of_unknown_length": ("integer", "How many others there are."),
        "disk": ("integer", "How many bytes their stems take at most."),
        "free": ("integer", "How many bytes are free where the stems would go."),
        "model": ("string", "The name of the model."),
        "download": (
            "integer or null",
            "How many bytes of weights would be downloaded, if that is known.",
        ),
    },
    "Of `opened`, also:": {
        "input": ("string", "The song, as in the records."),
        "codec": ("string", "How it is stored, in ffmpeg's words."),
        "sample_rate": ("integer", "In Hz."),
        "channels": ("integer", "How many it has."),
        "duration": ("number or null", "Its length in seconds, as far as its header tells."),
    },
    "Of `separated`, also:": {
        "input": ("string", "The song."),
        "done": ("integer", "How many frames of it are done."),
        "total": ("integer", "How many it has; `done` is equal to it in the end."),
    },
    "Of `finished`, also:": {
        "input": ("string", "The song."),
        "frames": ("integer", "How many samples a channel has."),
        "stems": ("object", "The paths of the stems, by name."),
    },
    "Of `finished` with `--daw`, also:": {
        "projects": ("object", "The paths of the projects, by program."),
    },
    "Of `note`, `detail` and `warning`, also:": {
        "message": ("string", "What it says."),
    },
    "Of `error`, also:": {
        "error": ("string", "What went wrong."),
        "hint": ("string or null", "What to do about it."),
        "exit_code": ("integer", "The exit status that this failure alone would give."),
    },
    "Of a `warning` or an `error` about one song, also:": {
        "input": ("string", "The song."),
    },
}

MODELS: Objects = {
    (
        "With `--json`, `list` writes one object a line for each model, and `show` writes "
        "one. What a model does not have is null or empty."
    ): {
        "schema": ("integer", "The version of this description: 1."),
        "name": ("string", "The name."),
        "description": ("string", "What it is, in a few words."),
        "stems": ("list", "The names of the stems that it gives, in its own order."),
        "sample_rate": (
            "integer",
            "The rate that it works at, in Hz. Stems have that of the song.",
        ),
        "channels": ("integer", "The channels that it works with."),
        "segment": ("integer", "How many samples of a channel it takes at a time."),
        "licence": ("string", "The licence of the weights."),
        "licence_source": (
            "string or null",
            "Where the licence is stated; of weights without one, where it is not.",
        ),
        "commercial": (
            "string",
            "Whether the weights may be used commercially: `yes`, `no` or `unclear`.",
        ),
        "licence_note": (
            "string or null",
            "What is shown beside the licence before the weights are fetched for the first time.",
        ),
        "training_data": ("string", "What it was trained with."),
        "paper": ("string or null", "The address of the paper that describes it."),
        "scores": (
            "list",
            "A list of published scores: objects with `metric`, `dataset`, `source`, and "
            "`values`, in dB by stem, or, if only that is published, their `mean`.",
        ),
        "overlap": (
            "number or null",
            "The share of a segment that overlaps the next, if not the network's own.",
        ),
        "window": (
            "string or null",
            "How overlapping segments are weighted, if not the network's own way.",
        ),
        "without_weights": ("boolean", "Whether it needs no weights at all."),
        "architecture": ("string", "The network, of one that is no ensemble."),
        "config": ("object", "What differs from the usual configuration of the network."),
        "seed": (
            "integer or null",
            "Where its random weights start from, of a network for testing.",
        ),
        "sources": (
            "list",
            "Where the weights come from, in the order in which it is tried: objects with "
            "`format` and `files`; a file has `address`, `sha256` (or null, and perhaps "
            "`sha256_prefix`, where its content cannot be verified) and `size`.",
        ),
        "members": ("list", "The models of which an ensemble is the weighted mean."),
        "weights": ("list", "Of an ensemble: for each member a list with a weight for each stem."),
        "group": ("string", "The heading below which `list` shows it."),
        "here": ("boolean", "Whether it can be used without a network."),
        "verifiable": (
            "boolean",
            "Whether its weights are, or would be, compared with a known SHA-256.",
        ),
        "hidden": (
            "boolean",
            "Whether the table of `list` leaves it out without `--all`: a member of an ensemble, "
            "or a model for testing.",
        ),
        "receptive_field": (
            "number or null",
            "How much of the song a sample of its stems depends on at most, in seconds: as much as "
            "a segment for most networks. Null where it is not known.",
        ),
        "look_ahead": ("number or null", "How much of that comes after the sample, in seconds."),
        "operations": (
            "integer or null",
            "Multiply-adds per second of audio, overlap included; null where they are not known.",
        ),
    },
}

DEMO: Objects = {
    ("With `--json` there is the record that stemsplit(1) describes, and after it an object:"): {
        "schema": ("integer", "The version of this description: 1."),
        "scores": (
            "list",
            "Objects, one for each stem: `stem`, its name; `sdr` and `sdr_of_the_song`, what "
            "the unsplit song would score, in dB (a number or null).",
        ),
    },
}

EVALUATE: Objects = {
    (
        "With `--json` there is one object a line for each song. A figure that has no "
        'answer is null; infinity is the string "inf" or "-inf":'
    ): {
        "schema": ("integer", "The version of this description: 2; of the objects below it is 1."),
        "song": ("string", "The name of the song; in a folder of songs, the way from there."),
        "sample_rate": ("integer", "At which everything was measured, in Hz."),
        "frames": ("integer", "How many samples a channel has."),
        "seconds": ("number", "How long the song is."),
        "window": ("number", "The length of a frame of BSS Eval, in seconds."),
        "hop": ("number", "From one frame to the next, in seconds."),
        "scores": (
            "list",
            "A list of objects, one for each stem that has a reference: `name`; `median` and "
            "`frames` with `sdr`, `isr`, `sir` and `sar`; `global_sdr`, `si_sdr`, `si_sir`, "
            "`si_sar` and `log_wmse` in dB; `l1`, the mean absolute difference; `mrstft`, the "
            "distance of spectra; `k_sdr`, `bleedless`, `fullness`, `l1_freq`, `aura_stft` and "
            "`aura_mrstft`, from 0 to 100 as leaderboards print them; `delay`, in samples that the "
            "estimate comes later; `inverted`, whether its polarity is inverted.",
        ),
        "measures": (
            "list",
            "A list of objects, one for each stem: `name`; `loudness` in LUFS; `peak` in "
            "dBFS; `true_peak` in dBTP; `clipped`, a count of samples; `above_11_khz` and "
            "`above_16_khz`, energy in dB of all; `joins`, the largest discontinuity "
            "relative to the waveform around it, in dB; `correlation` and `overlap` with each "
            "other stem.",
        ),
        "null_residual": (
            "number, string or null",
            "What the stems leave of the mixture, in dB of it; null without one.",
        ),
        "bss_eval": (
            "string",
            "What computed `sdr`, `isr`, `sir` and `sar`: `own`, or `museval` and its version.",
        ),
        "unreproducible": (
            "list",
            "Those of `isr`, `sir` and `sar` that rounding decides in some frame, as far as one "
            "song shows it, by more than 0.01 dB, because the references have empty bands. "
            "museval's own values vary there too.",
        ),
        "replicated": (
            "boolean",
            "Always false. True in records of earlier versions that repeated museval's rounding.",
        ),
        "remarks": ("list", "A list of what was aligned, resampled, summed or left out."),
        "estimates": (
            "object",
            "The files of each stem, by its name: objects with `paths` (what is summed), "
            "`streams` (which of each file, if not the first) and `missing` (stems that the "
            "sum should have had besides); and `start` and `end`, in seconds, of a part.",
        ),
        "references": ("object", "Likewise, of the true stems."),
        "mixture": ("object or null", "Likewise, or null."),
        "settings": ("object", "The model and its options, where a model was run."),
    },
    "Of several sets of stems, each song has an object for each set, as above, and also:": {
        "set": ("string", "The name of the set. `null_residual` is null."),
    },
    "Of a song that failed there are `schema`, `song`, and:": {
        "error": ("string", "What went wrong."),
        "hint": ("string or null", "What to do about it, or null."),
        "exit_code": ("integer", "The exit status that this failure alone would give."),
    },
    "Of several songs that were scored, a last object has `schema` and:": {
        "summary": (
            "list",
            "A list of objects, one for each stem: `name`, `songs` and the figures.",
        ),
        "average": ("object", "The mean over the stems of `sdr` and `global_sdr`."),
        "all": (
            "object",
            "Each metric over the stems of all songs together, as the tables of SiSEC have it: the "
            "median of `sdr`, `isr`, `sir` and `sar`, the mean of the others.",
        ),
    },
    "Of several sets of stems, a last object has `schema` and:": {
        "sets": ("list", "The names of the sets."),
        "songs": ("list", "The names of the songs that all sets have."),
        "comparison": (
            "list",
            "A list of objects, one for each stem in each metric: `stem`; `metric`; `values` by "
            "set, over songs; `best`, the sets with the best value; and `differences`, for each "
            "set but the first: `set`, `minus` (the first set), `median` (that of the difference "
            "over songs), `wins` and `losses` (the songs in which it is better and worse).",
        ),
    },
}

DOCTOR: Objects = {
    "With `--json` there is one object:": {
        "schema": ("integer", "The version of this description: 1."),
        "findings": (
            "list",
            "A list of objects with `name`, `status` (`ok`, `note`, or `missing` of what is "
            "needed), `detail` and `hint` (or null).",
        ),
    },
}
