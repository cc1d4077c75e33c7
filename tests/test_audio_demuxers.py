"""Formats that name other files or addresses are not opened; all that hold their own sound are."""

from __future__ import annotations

import re
import socket
import struct
import threading
from pathlib import Path

import pytest
from audio_files import noise, run_ffmpeg, store

from stemsplit.audio.decode import read
from stemsplit.audio.demuxers import SELF_CONTAINED
from stemsplit.audio.ffmpeg import Process, find_ffmpeg
from stemsplit.audio.probe import probe
from stemsplit.errors import InputError

#: What ffmpeg 5.1 to 9.0 have beside the list: formats that lead to other files or addresses, or
#: continue in the files beside them; devices; texts and subtitles; and what is never recognised.
REFUSED = {
    *("concat", "dash", "hls", "imf", "image2", "image2pipe", "rtp", "rtsp", "sap", "sdp"),
    *("webm_dash_manifest", "vobsub", "mlv", "dvdvideo", "lavfi", "avisynth", "vapoursynth"),
    *("alsa", "fbdev", "iec61883", "jack", "kmsgrab", "libcdio", "libdc1394", "openal", "oss"),
    *("pulse", "sndio", "video4linux2,v4l2", "x11grab", "xcbgrab", "avfoundation", "dshow"),
    *("gdigrab", "vfwcap", "android_camera", "bktr", "decklink", "libndi_newtek"),
    *("aqtitle", "ass", "jacosub", "lrc", "microdvd", "mpl2", "mpsub", "pjs", "realtext", "sami"),
    *("srt", "stl", "subviewer", "subviewer1", "sup", "vplayer", "webvtt", "scc", "mcc", "rcwt"),
    *("dvbsub", "dvbtxt", "tedcaptions", "tty", "bin", "idf", "adf", "xbin", "txd", "cdg"),
    *("sbg", "ffmetadata", "data", "msnwctcp", "rawvideo", "bitpacked", "svg_pipe"),
}
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {} RTP/AVP 0\n"
HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n"
#: A playlist of which more may come: ffmpeg asks for it again and again.
LIVE = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1.0,\n{}\n"
DASH = """<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S">
<Period><AdaptationSet mimeType="audio/wav"><Representation id="1" bandwidth="1">
<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>
"""
NAMING_OTHERS = {
    "hls": HLS,
    "live": LIVE,
    "dash": DASH,
    "concat": "ffconcat version 1.0\nfile '{}'\n",
    "sdp": SDP,
    "avisynth": 'DirectShowSource("{}")\n',
}


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A song of another user."""
    folder = tmp_path / "private"
    folder.mkdir()
    return store(folder / "other.mp3", noise(44_100), 44_100)


@pytest.mark.parametrize("name", ["song.mp3", "song.wav", "song.m3u8", "song.mpd", "song"])
@pytest.mark.parametrize("kind", sorted(NAMING_OTHERS))
def test_formats_that_refer_to_other_files_are_refused(other, tmp_path, kind, name):
    song = tmp_path / name
    song.write_text(NAMING_OTHERS[kind].format(5004 if kind == "sdp" else other))
    with pytest.raises(InputError, match=r"contains no audio itself|not an audio file"):
        probe(song)


def test_a_piece_beside_a_playlist_is_not_opened_either(other, tmp_path):
    song = tmp_path / "song.ffconcat"
    song.write_text("ffconcat version 1.0\nfile private/other.mp3\n")
    with pytest.raises(InputError, match="contains no audio itself") as e:
        probe(song)
    assert e.value.hint == "name the audio files themselves"


def test_a_video_that_refers_to_another_file_does_not_play_its_sound(tmp_path):
    """In QuickTime, samples may be in a file that an alias names: here, the absolute path of one.

    Its own bytes, which ffmpeg then reads in their place, are noise as loud as can be; those of
    the file that is named are silence.
    """
    film = store(tmp_path / "film.mov", noise(44_100), 44_100, "-c:a", "pcm_s16be")
    other = tmp_path / "other.mov"
    other.write_bytes(bytes(film.stat().st_size))
    data = film.read_bytes()
    own = struct.pack(">I4sI", 12, b"url ", 1)  # "in this file"
    place = data.index(own, data.index(b"dref"))
    alias = _alias(other)
    grown = len(alias) - len(own)
    data = bytearray(data[:place] + alias + data[place + len(own) :])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = data.rindex(name, 0, place) - 4
        size = int.from_bytes(data[start : start + 4], "big")
        data[start : start + 4] = (size + grown).to_bytes(4, "big")
    film.write_bytes(data)
    try:
        found = read(film)
    except InputError:
        return
    assert abs(found).max() > 0.5


def _alias(other: Path) -> bytes:
    """Return an entry of ``dref`` that names ``other`` as programs of the Mac did."""
    name, path = other.name.encode(), bytes(other)
    body = bytes(10) + bytes([1]) + b"x".ljust(27, b"\0") + bytes(12)
    body += bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    body += struct.pack(">HH", 1, 1) + bytes(16)
    body += struct.pack(">HH", 2, len(path)) + path + bytes(len(path) % 2)
    body += struct.pack(">HH", 0xFFFF, 0)
    return struct.pack(">I4sI", 12 + len(body), b"alis", 0) + body


def test_every_format_of_this_ffmpeg_is_allowed_or_refused_on_purpose():
    with Process([find_ffmpeg(), "-hide_banner", "-demuxers"]) as process:
        listed = process.read(2**20).decode()
    names = set(re.findall(r"^ D(?: d)? +(\w\S+) ", listed, re.MULTILINE))
    allowed = set(SELF_CONTAINED.split(","))
    unknown = {name for name in names - REFUSED if not set(name.split(",")) <= allowed}
    assert unknown == set(), "read in ffmpeg's source whether these open other files"
    assert len(names) > 300
    assert not allowed & REFUSED


def test_a_picture_still_has_no_audio(tmp_path):
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=d=1", "-frames:v", "1", tmp_path / "cover.png")
    with pytest.raises(InputError, match="has no audio stream"):
        probe(tmp_path / "cover.png")


def test_a_playlist_opens_no_network_address(tmp_path):
    called = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def answer() -> None:
            connection, _address = server.accept()
            called.append(connection.recv(100))
            connection.close()

        listener = threading.Thread(target=answer, daemon=True)
        listener.start()
        port = server.getsockname()[1]
        head = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n"
        for number, text in enumerate(
            (
                f"{head}http://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
                f"ffconcat version 1.0\nfile http://127.0.0.1:{port}/a.wav\n",
            )
        ):
            playlist = tmp_path / f"{number}.m3u8"
            playlist.write_text(text)
            with pytest.raises(InputError, match="contains no audio itself"):
                probe(playlist)
        assert called == []
        socket.create_connection(("127.0.0.1", port)).close()
        listener.join()
    assert called == [b""]  # the listener would have noticed
