"""What the man pages say besides the options: written by hand, one ``ManPage`` a command."""

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
    """The parts of a page that no option tells. What stands in backticks will be bold."""

    description: tuple[str, ...] = ()
    examples: Mapping[str, str] = field(default_factory=dict)  # what it does -> what to type
    output: tuple[str, ...] = ()
    records: Objects = field(default_factory=dict)  # that --json writes
    events: Objects = field(default_factory=dict)  # that --progress ndjson writes
    #: What a status means here, where it is not what it means elsewhere; None: it does not occur.
    exit_status: Mapping[ExitCode, str | None] = field(default_factory=dict)


#: The formats that can be written to a stream from their beginning to their end.
_IN_ORDER = alternatives(
    [f"`{name}`" for name in (*filter(is_written_in_order, FORMATS), "raw")], "and"
)

#: Before the tables of the options of other programs.
COMING_FROM_OTHERS = (
    "Options of demucs, Spleeter, audio-separator and Open-Unmix that mean the same here work: "
    "`stemsplit --two-stems vocals --mp3 --mp3-bitrate 320 song.wav`. They exclude options that "
    "say something else, as `--mp3` does `--flac` and `--format wav`. For others the error says "
    "what to write. Defaults are those of stemsplit: 32-bit WAV, and no folder for the model.",
    "`stemsplit separate` is `stemsplit`, unless there is a file of that name. Models have their "
    "names of other programs too: `spleeter:2stems`, `umxl`, `htdemucs_ft.yaml`, the signatures "
    "of demucs, and the names of checkpoint files. `-j` is not that of demucs: it says how many "
    "songs are decoded ahead; the network uses all cores without it.",
)

_SPLIT = ManPage(
    description=(
        "Stems have the sample rate and the channels of the song. They appear together when the "
        "song is done, or not at all.",
        "The same song, model, settings, device, number of threads (`--threads`) and `--batch` "
        "give the same bytes. Stems stay up to date if only the last three change.",
        "If torch cannot use an NVIDIA card of this machine, a warning gives the command that "
        "mends it; `--device cpu` says that the card is not wanted, and there is no warning.",
        "The clock of a song is that of its file. In a film zero is its earliest stream; sound "
        "alone starts at its first sample. Gaps in time stamps become silence and are reported "
        "with their total, as is damage that checksums show. Neither changes the exit status. A "
        "truncated file is refused, unless `--accept-truncated` is given.",
        "A file may be anything that ffmpeg decodes, a video too. A folder stands for the audio "
        "files below it, whatever they are called, but hidden ones and what earlier runs wrote; "
        "its tree is kept: `stemsplit music -o stems` makes of music/live/song.mp3 "
        "stems/live/song/vocals.wav and so on. Songs of one name that are named one by one are "
        "told apart by their folders. Patterns (`'music/**/*.mp3'`) and playlists (.m3u, .m3u8) "
        "stand for what they name. A song that fails is reported, and the others are split all "
        "the same.",
        "Names in a list of `--files-from` stand as they are, from the current folder; if the list "
        "has NUL bytes, these are between them, as `find -print0` writes it.",
        "`--commercial` refuses a model whose licence is not known to allow commercial use, and "
        "names those for the same stems that do; an ensemble counts as its strictest member. A "
        "checkpoint file counts as the model that has its SHA-256. The licence of any other file "
        "is not known, unless a table of STEMSPLIT_REGISTRY states it. As a setting, `commercial = "
        "true`, it holds for all songs. `demo`, `evaluate` and `models pull` do not look at it.",
        "The first time a model is used its weights are fetched, verified and kept; "
        "`stemsplit models pull` does it beforehand.",
        "Stems that are up to date are skipped, missing ones are written, and those of a song that "
        "has changed since are replaced. What was made otherwise (by another model, with other "
        "settings, of another part of the song) is left, and the song fails: `--update` redoes it. "
        "A stem that somebody edited, and a file that stemsplit did not write, is replaced by "
        "`--force` alone; if all else is up to date it is only a warning. `--skip-existing` keeps "
        "all files that exist, and writes the others. `--json` gives what applies as `reason`.",
        "Stems of a part of a song have its times in their names, as in "
        "`song [0m45s-1m15s]/vocals.wav`, unless `--filename` is given.",
        "A file that has the name of a command is written with its folder: `stemsplit ./models`.",
        "`--stems vocals --out vocals.mp3` names the file of one stem of one song; its ending "
        "chooses the format.",
        "`--two-stems vocals` writes `vocals` and `no_vocals`; `--stems instrumental` writes only "
        "the song without vocals. In `--mix NAME=SUM` the name is that of the file; the sum is of "
        "stems of the model and of `mix`, the song, with `+` and "
        "`-` between them and, if need be, a gain before each: `0.5*drums`. Spaces do not matter. "
        "`--mix` can be given several times, as `--files-from` can; of other options the last one "
        "holds.",
        "With `--sum-to-mix` the stems sum to the song: below -140 dBFS in 24 bits, -160 dBFS in "
        "32f. In 16 bits one stem (with `spread` the last) takes what rounding takes from the "
        "others, so that they sum to a song of 16 bits exactly, and to another one to its own last "
        "bit; not with `--clip linked`. Lossy formats do not sum.",
        "Times are seconds, minutes and seconds, or hours, minutes and seconds: 90.5, 1:30.5, "
        "1:02:03. An end after that of the song is that of the song.",
    ),
    examples={
        "Split a song; the stems go to separated/song/:": "stemsplit song.mp3",
        "Split all songs below a folder, and go on where an earlier run ended:": (
            "stemsplit --skip-existing --out stems album/"
        ),
        "Vocals and the song without them, as mp3:": (
            "stemsplit --two-stems vocals --format mp3 song.flac"
        ),
        "Only drums and bass, as 24-bit WAV:": "stemsplit --stems drums,bass --depth 24 song.wav",
        "All stems, and the song with the vocals turned down:": (
            "stemsplit --mix karaoke=mix-0.9*vocals song.mp3"
        ),
        "Stems that sum to the song exactly:": "stemsplit --sum-to-mix other song.mp3",
        "The mean of two models, each of which hears the song twice:": (
            "stemsplit --ensemble htdemucs,hdemucs_mmi --shifts 2 song.mp3"
        ),
        "With the fine-tuned models, four times as slow, on the second GPU:": (
            "stemsplit -n htdemucs_ft --device cuda:1 song.mp3"
        ),
        "All stems in one folder, named after song and stem:": (
            "stemsplit --filename '{track} ({stem}).{ext}' song.mp3"
        ),
        "Hear first what thirty seconds of it are like:": "stemsplit --preview 30 song.mp3",
        "Only from the second chorus on:": "stemsplit --start 2:12.5 song.mp3",
        "Compare the stems with the true ones, and write a page to look at:": (
            "stemsplit song.wav --reference true/song --report song.html"
        ),
        "A song from a pipe, and its vocals into another:": (
            "cat song.mp3 | stemsplit - --stems vocals -o - | ffplay -"
        ),
        "All that find finds, whatever the names, only what is not done yet:": (
            "find . -name '*.flac' -print0 | xargs -0 stemsplit -q -o stems"
        ),
        "See what a run over a folder would do:": "stemsplit --dry-run music -o stems",
        "As a rule of a Makefile, for all songs beside it:": (
            "stems/%/vocals.wav: %.mp3 ; stemsplit -q --force --stems vocals -o stems $<\n"
            "all: $(patsubst %.mp3,stems/%/vocals.wav,$(wildcard *.mp3))"
        ),
        "Every night at three, from cron; mail comes only if something went wrong:": (
            "0 3 * * * /usr/local/bin/stemsplit -q /srv/music -o /srv/stems >/dev/null"
        ),
        "Hand the paths of the stems to another program:": (
            "stemsplit -q --json song.mp3 | jq -r '.stems[].path'"
        ),
    },
    output=(
        "Standard output carries the paths of the stems that were written, one a line; of a song "
        "that is skipped it carries none. Progress, remarks, warnings and errors go to standard "
        "error, and so does the table of scores. With `--quiet` only warnings and errors are left "
        "there, with `-qq` only errors, whatever `--progress` says.",
        "With `--out -` standard output carries the one stem instead, of one song: the bytes of "
        f"the file that it would be, and no path. {_IN_ORDER} go out while they are "
        "made (but not with `--clip linked`), other formats when they are done. `raw` is "
        "interleaved little-endian samples of `--depth` (32f by default) at the rate of the song. "
        "If nobody reads on, the exit status is 0. A song that `-` reads is kept in a temporary "
        "file (below TMPDIR) while it is split; records and messages call it `-`.",
        "`--dry-run` prints the paths that would be written. It fetches and writes nothing; its "
        "exit status is that of the run, but for what only shows on the way: damage further on in "
        "a song, a device, memory, space or a permission that is lacking, a setting that the "
        "network does not take. It does not look at `--reference` and `--report`.",
        "What concerns all songs, a wrong option or a model that cannot be had, ends the run "
        "before the first: it is told on standard error and by the exit status, and there are no "
        "objects.",
        "Options, exit statuses and the objects of `--json` and `--progress ndjson` are stable "
        "from this version on; stemsplit-json(5) says what may be added to the objects.",
    ),
    records=records.SPLIT,
    events=records.EVENTS,
)

_WATCH = ManPage(
    description=(
        "For the folder that a DAW exports to, or that songs are dropped into. The options of "
        "stemsplit(1) that say what is made of a song are options here too.",
        "A file is complete when its size and its time of change have stayed the same for the time "
        "that `--settle` gives, and when it can be decoded to the length that it announces. Where "
        "that cannot be told (a WAV whose header still holds a placeholder, an mp3 that announces "
        "no length) it is ten times that time. Hidden files, and names that programs give to "
        "what they are not done with (`.part`, `.crdownload`, `.tmp`), are passed over.",
        "Manifests tell what is done: after a stop, the same command does only what is missing. "
        "A song that fails is told once, and tried again when its file changes. Another look costs "
        "next to nothing. The folder may vanish and come back, as that of a drive does.",
        "A signal is the only end of a watch that nothing prevents, so that SIGINT, SIGTERM and "
        "SIGHUP give the exit status 0, whatever became of single songs; a song that was in work "
        "is done by the next watch. A lack of disk or memory ends it with 5.",
    ),
    examples={
        "Split what is exported to a folder, until Ctrl-C:": "stemsplit watch exports -o stems",
        "Only what comes from now on, as flac, told as objects:": (
            "stemsplit watch ~/Downloads --new-only --format flac -q --json"
        ),
        "In the unit of a service (systemd), as one line of it:": (
            "ExecStart=/usr/bin/stemsplit watch /srv/in -o /srv/stems --progress none"
        ),
    },
    output=(
        "The paths of the stems, one a line, or with `--json` the objects that stemsplit(1) "
        "describes, as each song is done. Songs that an earlier run has done are `skipped`, each "
        "once.",
    ),
    exit_status={
        ExitCode.DONE: "A signal ended it.",
        ExitCode.FILE: "FOLDER is no folder.",
        ExitCode.PARTLY: None,
        ExitCode.INTERRUPTED: "Interrupted (SIGINT) before it began.",
        ExitCode.TERMINATED: "Terminated (SIGTERM) before it began.",
    },
)

_MODELS = ManPage(
    description=(
        "Wherever a model is asked for, a name of the list will do, and so will the path of a "
        "checkpoint file, or of a folder that Open-Unmix's training wrote.",
        "Weights are compared with the SHA-256 in the registry. Of some, nobody has published it: "
        "they are `unverified`, and fetched only with `--allow-unverified`, which trusts the "
        "address. `verify` compares them with what was fetched.",
        "In `list` scores are the mean over the stems of a model, or over those of `--stem`. They "
        "compare only where metric and songs are the same. `--sort sdr` therefore ranks models "
        "within one metric on one set of songs; those of the next set follow below a heading of "
        "their own, and models without a published score come last.",
        "`--sort speed` goes by operations: multiply-adds per second of audio, overlap included, "
        "in convolutions, matrix products and recurrent layers. They are counted, not measured: a "
        "network with LSTMs is slower than its figure. They are unknown for `hpss` and `ica`, and "
        "for models of a registry of one's own.",
        "`--causal` lists models that look ahead by no more than 0.1 s, a frame of a usual "
        "spectrogram. Most networks see their whole segment at once, the future included, so that "
        "the list may well be empty.",
        "With `--commercial`, `list` shows models whose licence is known to allow commercial use, "
        "by what their authors say; an ensemble counts as its strictest member. The option of the "
        "same name of stemsplit(1) refuses all others. This is not legal advice.",
    ),
    examples={
        "See which models there are, and which are here:": "stemsplit models list",
        "Find the best model for vocals that are to be sold:": (
            "stemsplit models list --stem vocals --commercial --sort sdr"
        ),
        "Find the fastest one that gives a guitar:": (
            "stemsplit models list --stem guitar --sort speed"
        ),
        "See the stems, the licence and the published scores of one:": (
            "stemsplit models show htdemucs"
        ),
        "Fetch the weights before going where there is no network:": (
            "stemsplit models pull htdemucs htdemucs_ft"
        ),
        "Check all weights that are here:": "stemsplit models verify",
        "Find the folder to copy to another machine:": "stemsplit models path",
    },
    output=(
        "Lists, facts and paths go to standard output, progress, errors, and what the columns of a "
        "list mean to standard error.",
        "Lines of `list` have 80 letters at most, or as many as the terminal. A list that nothing "
        "is in leaves standard output empty, and the exit status is 0.",
        "`list --json` alone writes all models, as with `--all`; with another option it writes "
        "those that the table shows, in the same order.",
    ),
    records=records.MODELS,
    exit_status={
        ExitCode.DONE: "What was asked for is done.",
        ExitCode.PARTLY: None,
    },
)

_DEMO = ManPage(
    examples={
        "See whether everything works here:": "stemsplit demo",
        "Another song, split by another model:": (
            "stemsplit demo --seed 7 -n htdemucs_ft --out demo7"
        ),
        "Without a network and without weights (the stems are noise):": (
            "stemsplit demo -n tiny.htdemucs --seconds 4"
        ),
    },
    output=("The paths of the stems, one a line, and a table of the scores, on standard output.",),
    records=records.DEMO,
    exit_status={
        ExitCode.DONE: "The song is split and scored.",
        ExitCode.PARTLY: None,
    },
)

_CONFIG = ManPage(
    description=(
        "What a person always wants can be settled in a file, which stemsplit-config(5) describes. "
        "A file in the current folder is never read.",
    ),
    examples={
        "See what holds, and why:": "stemsplit config show",
        "See it for another command:": "stemsplit config show models.pull",
        "See what is no default:": "stemsplit config show | grep -v -e 'default$' -e 'not set$'",
        "Edit it:": '"$EDITOR" "$(stemsplit config path)"',
    },
    output=("Settings and paths go to standard output.",),
    exit_status={
        ExitCode.DONE: "It is shown.",
        ExitCode.FILE: None,
        ExitCode.CHECKPOINT: None,
        ExitCode.ENVIRONMENT: "Standard output cannot be written, as on a full disk.",
        ExitCode.PARTLY: None,
    },
)

_DOCTOR = ManPage(
    description=(
        "It looks at Python, torch, its threads, CUDA and MPS, torchaudio, ffmpeg and its "
        "encoders, the cache, the space on the disks, the settings and the proxy. Who or what is "
        "named in the addresses of proxies beside the host is left out, and so is what variables "
        "hold that the program does not know.",
        "ffmpeg 5 to 9 are known to work. A newer one is tried; an older one is refused.",
    ),
    examples={
        "Make a file for a bug report:": "stemsplit doctor | tee report.txt",
        "See only what is missing:": "stemsplit doctor | grep '^!'",
    },
    output=(
        "A line for each thing that was looked at, on standard output. What is needed and does not "
        "work begins with `!`, what is good to know with `-`.",
    ),
    records=records.DOCTOR,
    exit_status={
        ExitCode.DONE: "All that is needed is there.",
        ExitCode.FILE: None,
        ExitCode.CHECKPOINT: None,
        ExitCode.ENVIRONMENT: "Something that is needed is not there, or does not work.",
        ExitCode.PARTLY: None,
    },
)

_EVALUATE = ManPage(
    description=(
        "A stem is compared with the reference of the same name. A folder holds one file for each "
        "stem (`vocals.wav`, `Song - Drums.flac`), a file that ends with `.stem.mp4` has them as "
        "its streams. Folders of songs on both sides are matched by the names of the songs.",
        "`no_vocals`, `accompaniment` and `instrumental` are compared with the sum of all "
        "references but the vocals; `other` with the sum of all that is no other stem. What was "
        "summed, resampled, cut or left out is said.",
        "Delay and inverted polarity are reported, not corrected: they lower the scores.",
        "With `--references` all paths are sets of stems, such as the results of two models, and "
        "they are compared: songs and stems that all sets have are scored against the same "
        "references, the others are listed. A set is called by its model, if its manifests name "
        "one, or else by its folder. For each metric and stem the best value is marked; beside it "
        "are the difference of each set from the first one (median over songs) and in how many "
        "songs it is better and worse. `--csv` has a line for each stem of each song in each set; "
        "the page of `--html` switches between the sets, the references and the song while it "
        "plays, at the same position and at their own levels.",
        "Without references there are loudness, peaks, bandwidth, joins, and what the stems have "
        "in common; with a mixture also the null residual: what is left of it when all stems are "
        "taken away.",
        "With `--dataset` each song with a mixture and true stems is separated and scored. Where "
        "there is no mixture, the sum of the stems is separated. A JSON file for each song stays "
        "below `--out`; another run does only those songs whose file is missing or was made with "
        "another model, other options, versions or files. Stems are not kept, unless with "
        "`--keep-stems`.",
    ),
    examples={
        "Compare stems with the true ones:": "stemsplit evaluate separated/song true/song",
        "A folder of songs, as CSV and for museval's own statistics:": (
            "stemsplit evaluate separated musdb18hq/test --csv scores.csv --museval json/test"
        ),
        "Look and listen, in a page that needs no network:": (
            "stemsplit evaluate separated/song true/song --html report.html"
        ),
        "What can be told without references:": (
            "stemsplit evaluate separated/song --mixture song.mp3"
        ),
        "Compare the stems of two models, and listen to one after the other:": (
            "stemsplit evaluate htdemucs/song umxl/song --references true/song --html compare.html"
        ),
        "With museval's own values:": (
            "stemsplit evaluate separated/song true/song --bss-eval museval"
        ),
        "References whose names say nothing:": (
            "stemsplit evaluate separated/song session --map bass=bassline.wav --map 'drums=kit*'"
        ),
        "Separate and score a whole data set; the same line goes on after an interruption:": (
            "stemsplit evaluate --dataset musdb18hq/test -n htdemucs"
        ),
        "The row of a model for a table:": (
            "stemsplit evaluate --dataset musdb18hq/test -n htdemucs_ft --markdown"
        ),
    },
    output=(
        "A table of the song, or of what the songs come to: of SDR, ISR, SIR and SAR the median "
        "over songs of the median over frames, of all others the mean over songs. Progress, "
        "remarks, warnings and errors go to standard error.",
        "SDR, ISR, SIR and SAR are those of BSS Eval v4 as defined by museval. `global SDR` is "
        "that of the Music Demixing Challenges, also called uSDR or SDR over the whole song. All "
        "are in dB; higher is better. Where references have empty bands, as those of lossy files "
        "decoded to floats, rounding decides ISR, SIR and SAR of single frames; such scores are "
        "marked.",
        "`--bss-eval museval` computes SDR, ISR, SIR and SAR with the package museval, if it is "
        "installed (`pip install museval`). It is slower and needs the whole song in memory, some "
        "6 GB for five minutes of four stereo stems. All other figures are stemsplit's own.",
    ),
    records=records.EVALUATE,
)

PAGES: Mapping[str, ManPage] = {
    "split": _SPLIT,
    "watch": _WATCH,
    "models": _MODELS,
    "demo": _DEMO,
    "evaluate": _EVALUATE,
    "config": _CONFIG,
    "doctor": _DOCTOR,
}

FILES: Mapping[str, str] = {
    "~/.config/stemsplit/config.toml": (
        "The configuration, described in stemsplit-config(5), on Linux. `stemsplit config path` "
        "shows where it is on any system."
    ),
    "~/.cache/stemsplit": (
        "The weights that were fetched, on Linux. It is ~/Library/Caches/stemsplit on macOS; "
        "`stemsplit models path` shows it on any system. It can be removed at any time, and can be "
        "copied to a machine without a network."
    ),
    ".stemsplit.json": (
        "The manifest beside the stems of a song: what they were made of and how, with their sizes "
        "and SHA-256 digests. Without it the stems are as good, but are not known to be done."
    ),
    "separated": "The folder below which stems go by default, in the current folder.",
    "evaluation": "The folder below which `evaluate --dataset` keeps what it found, likewise.",
}

EXIT_STATUS: Mapping[ExitCode, str] = {
    ExitCode.DONE: "Every input is done, or was done before.",
    ExitCode.DEFECT: "A defect of stemsplit; `--debug` shows where.",
    ExitCode.USAGE: "Wrong usage, wrong configuration, or an unknown name.",
    ExitCode.FILE: "An input cannot be read, or an output cannot be written or is there already.",
    ExitCode.CHECKPOINT: (
        "A checkpoint is missing, cannot be fetched, is damaged, or does not fit the model."
    ),
    ExitCode.ENVIRONMENT: (
        "The machine lacks something: ffmpeg (5 to 9), the device, memory, or space on the disk."
    ),
    ExitCode.PARTLY: "Some inputs are done, some failed.",
    ExitCode.INTERRUPTED: "Interrupted (SIGINT). No unfinished stem is left behind.",
    ExitCode.TERMINATED: "Terminated (SIGTERM). No unfinished stem is left behind.",
}
