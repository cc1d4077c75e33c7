"""The clock of a file: videos, gaps in time stamps, and what does not count as a gap."""

import re

import numpy as np
import pytest
from audio_files import noise, run_ffmpeg, store

from stemsplit.audio.clock import LONGEST_GAP, length_of_video
from stemsplit.audio.decode import decode
from stemsplit.audio.excerpt import cut
from stemsplit.audio.probe import probe
from stemsplit.errors import InputError
from stemsplit.options import Excerpt
from stemsplit.separation.scan import scan

RATE = 48_000
CLICK = "aevalsrc=0.5*sin(2*PI*440*t)*between(t\\,2\\,2.1):d=5:s=48000"
PICTURE = ("-f", "lavfi", "-i", "testsrc=size=64x64:duration=6:rate=25")
#: Videos whose sound starts 0.75 s after the picture, and the frames by which it may be off: of the
#: container's clock, or of an encoder's delay that the container does not know.
LATE_FILMS = {
    ("a.mkv", "pcm_s16le"): 48,
    ("a.mkv", "libopus"): 400,  # ffmpeg 5 writes the delay of Opus into no time stamp
    ("a.mp4", "aac"): 10,
    ("a.mov", "pcm_s16le"): 10,
    ("a.ts", "mp2"): 1200,
    ("a.webm", "libopus"): 400,
}


def whole(path, excerpt=None, **options):
    info = probe(path)
    decoder = decode(info if excerpt is None else cut(info, excerpt), **options)
    blocks = list(decoder)
    return np.concatenate(blocks, 1), decoder.warnings


def film(path, codec, *, delay=0.75, sound=CLICK):
    coder = ("-c:v", "libvpx" if path.suffix == ".webm" else "mpeg4")
    coder = ("-c:v", {".ts": "mpeg2video", ".flv": "flv"}.get(path.suffix, coder[1]))
    late = ("-itsoffset", str(delay), "-f", "lavfi", "-i", sound)
    run_ffmpeg(*PICTURE, *late, "-map", "0:v", "-map", "1:a", *coder, "-c:a", codec, f"file:{path}")
    return path


def silence(samples, *, above=1e-3):
    """Return the first frame that is not silent."""
    return int(np.argmax(np.abs(samples).max(0) > above))


def with_gaps(path, *gaps, seconds=12, codec="libopus"):
    """Write a tone of ``seconds`` that lacks packets where ``gaps`` (s) are, time stamps kept."""
    whole = path.with_name(f"whole-{path.name}")
    tone = f"sine=frequency=330:duration={seconds}:sample_rate={RATE},asetnsamples=960"
    pages = ("-page_duration", "1") if path.suffix == ".ogg" else ()
    run_ffmpeg("-f", "lavfi", "-i", tone, "-c:a", codec, *pages, f"file:{whole}")
    lacking = "+".join(f"between(pts*tb\\,{a}\\,{b})" for a, b in gaps)
    words = ("-c", "copy", "-bsf:a", f"noise=drop={lacking}", "-copyts", *pages)
    run_ffmpeg("-i", f"file:{whole}", *words, f"file:{path}")
    return path


@pytest.mark.parametrize(("name", "codec"), LATE_FILMS)
def test_time_zero_is_the_start_of_the_earliest_stream_of_a_video(tmp_path, name, codec):
    found, warnings = whole(film(tmp_path / name, codec))
    assert abs(silence(found, above=0.02) - round(2.75 * RATE)) <= LATE_FILMS[name, codec] + 100
    assert abs(found.shape[1] - round(5.75 * RATE)) <= 2048
    assert warnings == []
    assert scan(probe(tmp_path / name), RATE).frames == found.shape[1]


@pytest.mark.parametrize(("delay", "seconds"), [(0.75, 6.0), (3.0, 8.0)])
def test_the_length_of_a_video_is_up_to_the_end_of_its_last_packet(tmp_path, delay, seconds):
    """A picture lasts 40 ms, and a packet of sound 64 ms."""
    path = film(tmp_path / "a.mkv", "pcm_s16le", delay=delay)
    assert length_of_video(path) == pytest.approx(seconds, abs=0.002)


def test_an_excerpt_of_a_video_uses_the_clock_of_the_file(tmp_path):
    path = film(tmp_path / "a.mkv", "pcm_s16le")
    found, _ = whole(path)
    for start, end in ((0.5, 3), (2.7, 2.8), (0, 0.5), (5, 9)):
        part, _ = whole(path, Excerpt(start=start, end=end))
        assert np.array_equal(part, found[:, round(start * RATE) : round(end * RATE)])


def test_sound_that_starts_with_the_picture_is_unchanged(tmp_path):
    for name, codec in (("a.mp4", "aac"), ("a.mkv", "aac"), ("a.webm", "libopus")):
        info = probe(film(tmp_path / name, codec, delay=0))
        assert info.silent_frames == 0


@pytest.mark.parametrize("name", ["a.ogg", "a.mka", "a.webm"])
def test_a_gap_is_silence_and_reported_once(tmp_path, name):
    path = with_gaps(tmp_path / name, (4, 7))
    found, warnings = whole(path)
    assert found.shape[1] == pytest.approx(12 * RATE, abs=960)
    assert np.abs(found[:, round(4.1 * RATE) : round(6.9 * RATE)]).max() == 0
    assert np.abs(found[:, round(7.1 * RATE) : round(11.9 * RATE)]).max() > 0.1
    assert np.abs(found[:, : round(3.9 * RATE)]).max() > 0.1
    (said,) = warnings
    assert said.startswith("3.0")
    assert "s are missing according to its time stamps at 4.0" in said


def test_several_gaps_are_one_warning_with_their_total(tmp_path):
    path = with_gaps(tmp_path / "a.mka", (2, 3), (5, 7))
    found, (said,) = whole(path)
    assert found.shape[1] == pytest.approx(12 * RATE, abs=960)
    assert said.startswith("3.0")
    assert "in 2 gaps, the first at 2.0" in said


def test_excerpts_of_a_file_with_gaps_use_its_clock(tmp_path):
    path = with_gaps(tmp_path / "a.mka", (4, 7))
    found, _ = whole(path)
    part, warnings = whole(path, Excerpt(start=6, end=8))
    assert np.array_equal(part, found[:, 6 * RATE : 8 * RATE])
    assert warnings == []  # the gap begins before it
    _, warnings = whole(path, Excerpt(start=3.5, end=5))
    assert len(warnings) == 1


@pytest.mark.parametrize(("name", "codec"), [("a.mka", "aac"), ("a.ogg", "libvorbis")])
@pytest.mark.parametrize("delay", [10, 1000])
def test_a_file_with_sound_only_starts_at_its_first_sample(tmp_path, name, codec, delay):
    path = tmp_path / name
    tone = ("-f", "lavfi", "-i", f"sine=frequency=330:duration=3:sample_rate={RATE}")
    run_ffmpeg("-itsoffset", str(delay), *tone, "-c:a", codec, f"file:{path}")
    found, warnings = whole(path)
    assert found.shape[1] == pytest.approx(3 * RATE, abs=2048)
    assert warnings == []


def test_a_jump_back_or_beyond_the_longest_gap_is_another_clock(tmp_path):
    one = with_gaps(tmp_path / "a.mka", (1, 1 + LONGEST_GAP + 10), seconds=LONGEST_GAP + 20)
    found, warnings = whole(one, accept_truncated=True)
    assert found.shape[1] < 12 * RATE
    assert not any("missing according to its time stamps" in text for text in warnings)
    two = tmp_path / "joined.ogg"
    song = store(tmp_path / "b.ogg", noise(2 * RATE), RATE)
    two.write_bytes(song.read_bytes() * 2)
    found, warnings = whole(two)
    assert found.shape[1] == pytest.approx(4 * RATE, abs=200)
    assert warnings == []


def test_single_lost_packets_are_found_and_jitter_is_not(tmp_path):
    lost = with_gaps(tmp_path / "lost.mka", (1.999, 2.001), seconds=4, codec="pcm_s16le")
    assert whole(lost)[0].shape[1] == pytest.approx(4 * RATE, abs=960)
    assert whole(lost)[1][0].startswith("0.02 s are missing")
    jittery = tmp_path / "jitter.mka"
    tone = f"sine=frequency=330:duration=4:sample_rate={RATE},asetnsamples=960"
    jitter = f"{tone},asetpts=PTS+480*mod(N\\,2)"
    run_ffmpeg("-f", "lavfi", "-i", jitter, "-c:a", "pcm_s16le", f"file:{jittery}")
    found, warnings = whole(jittery)
    assert found.shape[1] == 4 * RATE
    assert warnings == []


def test_mixing_joined_mono_and_stereo_to_mono_causes_a_warning(tmp_path):
    for name in ("a.ogg", "a.opus"):
        mono = store(tmp_path / f"mono-{name}", noise(2 * RATE, 1), RATE)
        stereo = store(tmp_path / f"stereo-{name}", noise(2 * RATE, 2), RATE)
        chain = tmp_path / name
        chain.write_bytes(mono.read_bytes() + stereo.read_bytes())
        found, warnings = whole(chain, accept_truncated=True)
        assert found.shape[0] == 1
        assert "has 1, then 2 channels; everything is mixed to 1" in warnings
        if found.shape[1] != pytest.approx(4 * RATE, abs=700):  # since ffmpeg 8
            assert found.shape[1] == 2 * RATE
            read = "ffmpeg reads only the first 2.0 s"
            reason = f"joins parts with different channel counts: {read}"
            assert reason in warnings
            with pytest.raises(InputError, match=reason):
                whole(chain)


@pytest.mark.parametrize("codec", ["flac", "pcm_s16le", "libopus", "aac"])
def test_the_picture_may_outlast_sound_with_gaps_or_damage(tmp_path, codec):
    sound = f"sine=frequency=330:duration=4:sample_rate={RATE},aselect=not(between(t\\,2\\,3))"
    path = film(tmp_path / "a.mkv", codec, sound=sound, delay=0)
    found, warnings = whole(path)
    assert found.shape[1] == pytest.approx(4 * RATE, abs=1800)
    (said,) = warnings
    assert "s are missing according to its time stamps" in said
    if codec == "flac":
        data = bytearray(path.read_bytes())
        for match in re.finditer(b"\xff\xf8", data):  # at the start of a packet of sound
            data[match.end() + 40] ^= 4
        path.write_bytes(data)
        found, warnings = whole(path)
        assert found.shape[1] == pytest.approx(4 * RATE, abs=1800)
        assert any(warning.startswith("damaged: ") for warning in warnings)


def test_a_film_that_ends_between_two_packets_is_reported(tmp_path):
    path = film(tmp_path / "a.flv", "aac", delay=0)
    data = path.read_bytes()
    place = 13
    while place < len(data) // 2:
        place += 15 + int.from_bytes(data[place + 1 : place + 4], "big")
    path.write_bytes(data[:place])
    found, (said,) = whole(path)
    assert found.shape[1] < 4 * RATE
    assert said == f"{found.shape[1] / RATE:.1f} s of 6.0 s could be decoded"


def test_an_avi_that_was_cut_is_reported(tmp_path):
    path = film(tmp_path / "a.avi", "pcm_s16le", delay=0)
    assert whole(path)[1] == []
    data = path.read_bytes()
    place = data.index(b"01wb", len(data) // 2)
    path.write_bytes(data[:place])
    found, (said,) = whole(path)
    assert said == f"{found.shape[1] / RATE:.1f} s of 6.0 s could be decoded"


@pytest.mark.parametrize("delays", [(0.5, 0), (0, 0.5)])
@pytest.mark.parametrize(("ending", "codec"), [("mp4", "aac"), ("mov", "pcm_s16le")])
def test_of_two_sounds_one_may_start_late(tmp_path, delays, ending, codec):
    inputs = [
        word for late in delays for word in ("-itsoffset", str(late), "-f", "lavfi", "-i", CLICK)
    ]
    maps = ("-map", "0:a", "-map", "1:a", "-c:a", codec)
    run_ffmpeg(*inputs, *maps, f"file:{tmp_path / f'a.{ending}'}")
    for stream, late in enumerate(delays):
        with decode(probe(tmp_path / f"a.{ending}", stream)) as blocks:
            found = np.concatenate(list(blocks), 1)
        assert abs(silence(found, above=0.02) - round((2 + late) * RATE)) <= 100
        assert abs(found.shape[1] - round((5 + late) * RATE)) <= 48  # ffmpeg 5 writes milliseconds
