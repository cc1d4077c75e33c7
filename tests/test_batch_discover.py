"""From arguments to songs: what is found, what is skipped, and where its stems will be."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from audio_files import ENCODERS, noise, run_ffmpeg, store

from stemsplit.audio.detect import may_be_audio
from stemsplit.batch.discover import Song, discover
from stemsplit.cli.standard_streams import StandardInput
from stemsplit.errors import InputError


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one."""
    folder = tmp_path / "library"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def put(*names: str) -> None:
    """Make files that look like songs."""
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"RIFF\0\0\0\0WAVE")


def found(*arguments: str, outputs: str = "separated", lists: tuple[str, ...] = ()) -> list[str]:
    """Return the songs as ``path -> folder of its stems``, and errors as ``! message``."""
    songs = discover(arguments, Path(outputs), lists)
    return [
        f"{song.path} -> {song.below}" if isinstance(song, Song) else f"! {song}" for song in songs
    ]


def test_the_tree_is_mirrored(library: Path) -> None:
    put("m/b.wav", "m/a.mp3", "m/x/y/c.flac", "m/x/d.ogg")
    expected = ["m/a.mp3 -> .", "m/b.wav -> .", "m/x/d.ogg -> x", "m/x/y/c.flac -> x/y"]
    assert found("m") == expected
    assert found("m/x/y/c.flac") == ["m/x/y/c.flac -> ."]
    assert found("m", str(library / "m/b.wav")) == expected


def test_songs_are_in_natural_order(library: Path) -> None:
    put(*(f"m/{name}.wav" for name in ("10", "2", "02", "a", "x2y10", "x2y9")))
    put("m/CD 10/1.wav", "m/CD 9/1.wav")
    order = ["02", "2", "10", "a", "x2y9", "x2y10"]
    expected = [f"m/{name}.wav -> ." for name in order]
    assert found("m/*.wav") == expected
    assert found("m") == [*expected, "m/CD 9/1.wav -> CD 9", "m/CD 10/1.wav -> CD 10"]
    # Names that are listed keep their order.
    assert found("m/10.wav", "m/2.wav") == ["m/10.wav -> .", "m/2.wav -> ."]


def test_the_content_decides_if_the_name_does_not(library: Path) -> None:
    put("m/no_suffix", "m/song.bak", "m/broken.mp3")
    Path("m/broken.mp3").write_bytes(b"no audio")
    Path("m/notes.txt").write_text("la la la")
    Path("m/cover.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF")
    Path("m/photo").write_bytes(b"\0\0\0\x18ftypheic")
    Path("m/set.rpp").write_text("<REAPER_PROJECT")
    Path("m/info.json").write_text("{}")
    Path("m/empty").touch()
    put("m/dj.stem.mp4")
    assert found("m") == ["m/broken.mp3 -> .", "m/no_suffix -> .", "m/song.bak -> ."]


@pytest.mark.parametrize("suffix", sorted(ENCODERS))
def test_every_format_is_known_by_its_first_bytes(tmp_path: Path, suffix: str) -> None:
    path = store(tmp_path / f"song.{suffix}", noise(44_100), 44_100)
    assert may_be_audio(path.rename(tmp_path / "song"))


@pytest.mark.parametrize(
    ("codec", "container"),
    [
        *(("pcm_s16le", form) for form in ("nut", "ircam", "w64", "caf", "voc")),
        *(("aac", form) for form in ("latm", "adts", "mpegts", "flv", "3gp", "matroska")),
        *(("libmp3lame", form) for form in ("avi", "mpegts -mpegts_m2ts_mode 1")),
        *(("truehd", "truehd"), ("mlp", "mlp"), ("dca", "dts"), ("ac3", "ac3"), ("eac3", "eac3")),
        *(("tta", "tta"), ("wavpack", "wv"), ("wmav2", "asf"), ("pcm_s16be", "au")),
    ],
)
def test_rarer_formats_are_known_by_their_first_bytes(
    codec: str, container: str, tmp_path: Path
) -> None:
    words = (*("-strict", "-2", "-c:a", codec), "-f", *container.split())
    path = tmp_path / "song"
    run_ffmpeg("-f", "lavfi", "-i", "sine=duration=1:sample_rate=48000", *words, str(path))
    assert may_be_audio(path)


def test_an_mp3_without_tags_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    words = (*ENCODERS["mp3"], "-id3v2_version", "0", "-write_xing", "0")
    path = store(tmp_path / "song.mp3", noise(44_100), 44_100, *words)
    assert path.read_bytes()[0] == 0xFF
    assert may_be_audio(path)


@pytest.mark.parametrize("name", ["picture.png", "picture.jpg", "picture.gif", "picture.webp"])
def test_pictures_are_not_audio(tmp_path: Path, name: str) -> None:
    if name.endswith("webp"):
        (tmp_path / name).write_bytes(b"RIFF\x24\0\0\0WEBPVP8 ")
    else:
        run_ffmpeg("-f", "lavfi", "-i", "color=size=16x16", "-frames:v", "1", str(tmp_path / name))
    assert not may_be_audio(tmp_path / name)


def test_hidden_files_and_earlier_outputs_are_left_out(library: Path) -> None:
    put("a.wav", ".b.wav", ".c/d.wav", "separated/a/vocals.wav", "e/out/f.wav", "g/vocals.wav")
    Path("g/.stemsplit.json").write_text("{}")
    assert found(".") == ["a.wav -> .", "e/out/f.wav -> e/out"]
    assert found(".", outputs="e/out") == ["a.wav -> .", "separated/a/vocals.wav -> separated/a"]


def test_links_are_followed_once(library: Path) -> None:
    put("m/a/song.wav", "elsewhere/other.wav")
    Path("m/a/loop").symlink_to(library / "m")
    Path("m/b").symlink_to("a")
    Path("m/c").symlink_to(library / "elsewhere")
    Path("m/gone.wav").symlink_to("nowhere")
    Path("m/gone.txt").symlink_to("nowhere")
    Path("m/self.wav").symlink_to("self.wav")
    songs = [line for line in found("m") if not line.startswith("! m/self.wav: cannot be read")]
    assert len(songs) == len(found("m")) - 1
    assert songs == ["m/gone.wav -> .", "m/a/song.wav -> a", "m/c/other.wav -> c"]


def test_patterns(library: Path) -> None:
    put("m/a/1.wav", "m/a/2.mp3", "m/b/1.wav", "m/b/c/3.wav", "m/[x].wav")
    Path("m/a/1.txt").touch()
    Path("m/b/loop").symlink_to(library / "m")
    assert found("m/*/1.*") == ["m/a/1.wav -> a", "m/b/1.wav -> b"]
    assert found("m/**/*.wav") == [
        "m/[x].wav -> .",
        "m/a/1.wav -> a",
        "m/b/1.wav -> b",
        "m/b/c/3.wav -> b/c",
    ]
    assert found("m/b/c*") == ["m/b/c/3.wav -> c"]
    assert found("m/[x].wav") == ["m/[x].wav -> ."]  # a file of that name goes before the pattern
    assert found("m/*.ape")[0].startswith("! m/*.ape: no such file, and no audio file")


def test_a_list_of_files(library: Path) -> None:
    put("m/a/1.wav", "m/b/2.wav", "#3.wav")
    outside = library.parent / "4.wav"
    outside.write_bytes(b"")
    Path("list").write_text(f"m/a/1.wav\n\n#3.wav\nm\n{outside}\nnosuch.wav\n")
    assert found(lists=("list",)) == [
        "m/a/1.wav -> m/a",
        "#3.wav -> .",
        "m/b/2.wav -> b",
        f"{outside} -> .",
        "nosuch.wav -> .",
    ]
    assert found(lists=("nosuch",)) == ["! nosuch: cannot be read: No such file or directory"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_of_windows_begin_with_a_mark(library: Path, encoding: str) -> None:
    """Without a look at it, the list in UTF-16 would mean every song on this machine, below "/"."""
    put("m/a/ü 1.wav", "m/b.wav")
    Path("list").write_bytes("m/a/ü 1.wav\r\nm/b.wav\r\n".encode(encoding))
    assert found(lists=("list",)) == ["m/a/ü 1.wav -> m/a", "m/b.wav -> m"]
    Path("m/p.m3u8").write_bytes("#EXTM3U\r\na\\ü 1.wav\r\nb.wav\r\n".encode(encoding))
    assert found("m/p.m3u8") == ["m/a/ü 1.wav -> a", "m/b.wav -> ."]


def test_names_between_nuls(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = b"two\nlines \xff.wav"
    data = io.TextIOWrapper(io.BytesIO(name + b"\0b.wav\0"))
    monkeypatch.setattr(sys, "stdin", data)
    assert found(lists=(StandardInput(),)) == [f"{os.fsdecode(name)} -> .", "b.wav -> ."]


def test_playlists(library: Path) -> None:
    put("lists/a/1.wav", "lists/ü.wav", "2 3.wav", "lists/100%25.wav", "lists/b/4 ü.wav")
    Path("lists/é.wav".encode().decode()).write_bytes(b"")
    text = [
        "\ufeff#EXTM3U".encode(),
        b"#EXTINF:1,One",
        b"a\\1.wav\r",
        "ü.wav".encode(),
        "é.wav".encode("latin-1"),
        b"../2 3.wav",
        (library / "2 3.wav").as_uri().encode(),
        b"http://example.org/live.mp3",
        b"file://[bad/x.wav",
        b"more.m3u",
        b"100%25.wav",
        b"b/4%20%C3%BC.wav",
        b"nosuch.wav",
    ]
    Path("lists/p.m3u8").write_bytes(b"\n".join(text))
    assert found("lists/p.m3u8") == [
        "lists/a/1.wav -> a",
        "lists/ü.wav -> .",
        "lists/é.wav -> .",
        "lists/../2 3.wav -> .",
        "! http://example.org/live.mp3: is a network address; only files can be split",
        "! file://[bad/x.wav: is not a valid address (Invalid IPv6 URL)",
        "! lists/more.m3u: is a playlist inside a playlist",
        "lists/100%25.wav -> .",
        "lists/b/4 ü.wav -> b",
        "lists/nosuch.wav -> .",
    ]


def test_a_playlist_of_a_stream_names_no_songs(library: Path) -> None:
    Path("live.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:6\npiece1.ts\n")
    assert found("live.m3u8") == ["! live.m3u8: lists the segments of a stream, not songs"]


def test_an_unreadable_folder_is_reported(library: Path) -> None:
    put("m/open/1.wav", "m/shut/2.wav")
    Path("m/shut").chmod(0)
    code = (
        "import os; from pathlib import Path; from stemsplit.batch.discover import discover\n"
        "os.geteuid() or os.setuid(65534)  # root may read everything\n"
        "print(*(getattr(song, 'reason', song.path) for song in discover(['m'], Path('o'))))"
    )
    for folder in (library, *library.parents[:-2]):
        folder.chmod(0o755)
    path = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=path)
    Path("m/shut").chmod(0o755)
    assert shown.stdout == "m/open/1.wav cannot be read: Permission denied\n", shown.stderr


def test_errors_are_reported_in_order() -> None:
    (error,) = discover([""], Path("o"))
    assert isinstance(error, InputError)
