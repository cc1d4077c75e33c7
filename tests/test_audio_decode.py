"""Decoding: exact counts, exact positions, and damage that is never ignored silently."""

import os
import re
import struct

import numpy as np
import psutil
import pytest
from audio_files import ENCODERS, cut, decibel, lag, noise, store, store_film, store_wav
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.audio.decode import decode
from stemsplit.audio.probe import probe
from stemsplit.errors import ExitCode, InputError, ResourceError

#: dB of signal to error that each lossy codec keeps of band-limited noise, at the least.
LOSSY = {"mp3": 15, "m4a": 10, "ogg": 10, "opus": 10, "mka": 5}
EXACT = ("wav", "aiff", "flac", "wv")


def decode_whole(path, **options):
    decoder = decode(probe(path), **options)
    blocks = list(decoder)
    channels = decoder.info.channels
    whole = np.concatenate(blocks, 1) if blocks else np.zeros((channels, 0), np.float32)
    assert decoder.frames == whole.shape[1]
    return whole, decoder.warnings


def children():
    return [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("ending", EXACT)
def test_lossless_formats_decode_to_the_same_samples(tmp_path, ending):
    song = np.rint(noise(100_003) * 32767) / np.float32(32768)
    found, warnings = decode_whole(store(tmp_path / f"a.{ending}", song, 44100))
    assert found.dtype == np.float32
    assert found.shape == song.shape
    assert np.abs(found - song).max() < 2**-16
    assert warnings == []


@pytest.mark.parametrize("ending", LOSSY)
def test_lossy_formats_keep_length_place_and_level(tmp_path, ending):
    song = noise(100_003)
    found, warnings = decode_whole(store(tmp_path / f"a.{ending}", song, 48000))
    # Only m4a and Matroska may have a tail: the codec's frame that is not full.
    slack = {"m4a": 1023, "mka": 100}.get(ending, 0)
    assert 0 <= found.shape[1] - song.shape[1] <= slack
    assert lag(song, found) == 0
    common = min(found.shape[1], song.shape[1])
    assert decibel(song[:, :common], found[:, :common]) > LOSSY[ending]
    assert warnings == []


@pytest.mark.parametrize("frames", [100, 1151, 1152, 1200, 44100])
def test_mp3_has_exactly_the_frames_that_were_encoded(tmp_path, frames):
    found, _ = decode_whole(store(tmp_path / "a.mp3", noise(frames, 1), 44100))
    assert found.shape == (1, frames)


def test_24_bit_at_96_khz_keeps_all_bits(tmp_path):
    song = np.rint(noise(96_000) * 2**23).astype(np.float32) / np.float32(2**23)
    found, _ = decode_whole(store(tmp_path / "a.wav", song, 96_000, "-c:a", "pcm_s24le"))
    assert np.array_equal(found, song)


def test_floats_beyond_full_scale_survive(tmp_path):
    song = 30 * noise(4410)
    found, _ = decode_whole(store(tmp_path / "a.wav", song, 44100, "-c:a", "pcm_f32le"))
    assert np.array_equal(found, song)


@settings(max_examples=12, deadline=None)
@given(
    frames=st.integers(0, 5000),
    channels=st.integers(1, 2),
    rate=st.integers(1000, 3000) | st.sampled_from([8000, 44100, 96000]),
)
def test_blocks_of_a_second_add_up_to_the_file(tmp_path_factory, frames, channels, rate):
    path = tmp_path_factory.mktemp("blocks") / "a.wav"
    song = noise(frames, channels)
    info = probe(store_wav(path, song, rate))
    blocks = list(decode(info))
    assert [b.shape[1] for b in blocks[:-1]] == [rate] * (len(blocks) - 1)
    assert sum(b.shape[1] for b in blocks) == frames
    assert all(
        b.shape[0] == channels and b.flags.c_contiguous and b.flags.writeable for b in blocks
    )
    if frames:
        assert np.abs(np.concatenate(blocks, 1) - song).max() < 2**-14


def test_a_block_is_a_second(tmp_path):
    info = probe(store_wav(tmp_path / "a.wav", noise(2500), 1000))
    assert [block.shape for block in decode(info)] == [(2, 1000), (2, 1000), (2, 500)]


def test_surround_is_mixed_by_its_layout_and_does_not_clip(tmp_path):
    """5.1 is L R C LFE Ls Rs; by ITU-R BS.775 left becomes L + √½·C + √½·Ls, without LFE."""
    song = np.repeat(np.float32([[0.9], [0.5], [0.8], [0.7], [0.6], [-0.4]]), 1000, axis=1)
    path = store(tmp_path / "a.flac", song, 48000)
    found, _ = decode_whole(path)
    assert found.shape == (2, 1000)
    assert found[0] == pytest.approx(0.9 + (0.8 + 0.6) / 2**0.5, abs=1e-3)
    assert found[1] == pytest.approx(0.5 + (0.8 - 0.4) / 2**0.5, abs=1e-3)


@pytest.mark.parametrize(("channels", "speakers"), [(1, 1), (2, 0), (2, 0x600), (2, 4 | 8)])
def test_one_or_two_channels_are_never_mixed(tmp_path, channels, speakers):
    """A lone left channel or a pair of surround channels stays as it is stored."""
    song = np.repeat(np.float32([[0.25], [0.5]])[:channels], 500, axis=1)
    found, _ = decode_whole(store_wav(tmp_path / "a.wav", song, speakers=speakers))
    assert np.abs(found - song).max() < 2**-14


def test_the_sound_of_a_video(tmp_path):
    song = noise(2 * 44100)
    found, _ = decode_whole(store_film(tmp_path / "a.mp4", song, 44100, 2))
    assert found.shape[1] - song.shape[1] in range(1024)
    assert lag(song, found) == 0


def test_a_video_whose_sound_ends_early_is_not_truncated(tmp_path):
    for name in ("a.mp4", "a.mkv"):
        film = store_film(tmp_path / name, noise(44100), 44100, 8)
        assert probe(film).duration == pytest.approx(8, abs=0.1)
        found, warnings = decode_whole(film)
        assert 44100 <= found.shape[1] < 44100 + 2048
        assert warnings == []


def test_silence_of_no_length_has_no_blocks(tmp_path):
    assert list(decode(probe(store_wav(tmp_path / "a.wav", noise(0))))) == []


@pytest.mark.parametrize("ending", ["wav", "aiff", "flac", "mp3", "m4a", "mka", "wv"])
def test_a_file_cut_in_half_is_refused(tmp_path, ending):
    song = cut(store(tmp_path / f"a.{ending}", noise(6 * 44100), 44100))
    message = r"truncated: [23]\.\d s of 6\.0 s could be decoded"
    with pytest.raises(InputError, match=message) as e:
        decode_whole(song)
    assert e.value.path == str(song)
    found, warnings = decode_whole(song, accept_truncated=True)
    assert 2 * 44100 < found.shape[1] < 4 * 44100
    assert warnings[-1].startswith("truncated: ")


def test_a_video_cut_in_half_is_refused(tmp_path):
    film = store_film(tmp_path / "a.mkv", noise(10 * 44100), 44100, 10)
    with pytest.raises(InputError, match=r"truncated: \d\.\d s of 10\.\d s"):
        decode_whole(cut(film))


@pytest.mark.parametrize("ending", ["wav", "flac", "au"])
def test_files_that_count_samples_may_lack_a_tenth_of_a_second(tmp_path, ending):
    """A hundredth of a long song would be a whole chorus, so the limit is not a fraction."""
    encoder = ("-c:a", "pcm_s16be") if ending == "au" else ENCODERS[ending]
    whole = store(tmp_path / f"a.{ending}", noise(20 * 44100), 44100, *encoder)
    short = cut(whole, 0.98)
    with pytest.raises(InputError, match=r"truncated: 19\.\d s of 20\.0 s could be") as e:
        decode_whole(short)
    assert e.value.exit_code == ExitCode.FILE
    assert "--accept-truncated" in (e.value.hint or "")
    found, warnings = decode_whole(short, accept_truncated=True)
    assert 19 * 44100 < found.shape[1] < 19.9 * 44100
    assert warnings[-1].startswith("truncated: 19")


@pytest.mark.parametrize(("missing", "refused"), [(0.09, False), (0.11, True), (1.5, True)])
def test_a_wav_that_lacks_a_tenth_of_a_second_is_refused(tmp_path, missing, refused):
    song = noise(10 * 8000 - round(missing * 8000), 1)
    path = store_wav(tmp_path / "a.wav", song, 8000, promised=2 * 10 * 8000)
    if not refused:
        assert decode_whole(path)[1] == ["its last 720 frames (0.090 s) are missing"]
        return
    with pytest.raises(InputError, match="truncated"):
        decode_whole(path)


@pytest.mark.parametrize("ending", ["mp3", "m4a", "wv"])
def test_other_formats_may_lack_a_second_with_a_warning(tmp_path, ending):
    whole = store(tmp_path / f"a.{ending}", noise(20 * 44100), 44100)
    found, warnings = decode_whole(cut(whole, 0.98))
    assert 19 * 44100 <= found.shape[1] < 19.9 * 44100
    assert re.fullmatch(r"19\.\d s of 20\.0 s could be decoded", warnings[-1])
    with pytest.raises(InputError, match=r"truncated: 1\d\.\d s of 20\.0 s"):
        decode_whole(cut(whole, 0.9))


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("seconds", [0.3, 4])
@pytest.mark.parametrize("ending", ENCODERS)
def test_whole_files_are_whole(tmp_path, ending, seconds, rate):
    path = store(tmp_path / f"a.{ending}", noise(int(rate * seconds)), rate, *ENCODERS[ending])
    found, warnings = decode_whole(path)
    assert found.shape[1] / probe(path).sample_rate > 0.8 * seconds
    assert warnings == []


@pytest.mark.parametrize("kept", [0.5, 0.98, -1, -100])
@pytest.mark.parametrize("ending", ["ogg", "opus", "oga"])
def test_ogg_declares_no_length_but_marks_its_end(tmp_path, ending, kept):
    """A negative number cuts off so many bytes: within the last page, which still has its mark."""
    encoder = ("-c:a", "flac") if ending == "oga" else ENCODERS[ending]
    whole = store(tmp_path / f"a.{ending}", noise(6 * 48000), 48000, *encoder)
    assert decode_whole(whole)[1] == []
    share = kept if kept > 0 else 1 + (kept + 0.5) / whole.stat().st_size
    short = cut(whole, share)
    reason = "truncated: the file ends in the middle of a stream"
    with pytest.raises(InputError, match=reason) as e:
        decode_whole(short)
    assert e.value.exit_code == ExitCode.FILE
    assert "--accept-truncated" in (e.value.hint or "")
    found, warnings = decode_whole(short, accept_truncated=True)
    assert found.shape[1] > 1.9 * 48000
    assert reason in warnings


def test_every_cut_within_the_last_page_of_an_ogg_is_detected(tmp_path):
    whole = store(tmp_path / "a.ogg", noise(4 * 8000, 1), 8000)
    data = whole.read_bytes()
    last = data.rfind(b"OggS")
    for end in (last - 2, last - 1, *range(last + 4, last + 40), len(data) - 1):
        whole.write_bytes(data[:end])
        with pytest.raises(InputError, match="in the middle of a stream"):
            decode_whole(whole)
    whole.write_bytes(data[:last])  # a whole page without the mark: a recorder that was stopped
    assert decode_whole(whole)[1][0] == "has no end marker; the original may be longer"
    whole.write_bytes(data + b"TAG" + bytes(125))  # appended data is not a truncated page
    assert decode_whole(whole)[0].shape[1] == 4 * 8000


@pytest.mark.parametrize("promised", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_streamed_wav_is_not_truncated(tmp_path, promised):
    song = store_wav(tmp_path / "a.wav", noise(3 * 44100), promised=promised)
    found, warnings = decode_whole(song)
    assert found.shape == (2, 3 * 44100)
    assert warnings == []


def test_damage_in_the_middle_is_reported(tmp_path):
    song = store(tmp_path / "a.flac", noise(10 * 44100), 44100)
    data = bytearray(song.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = bytes(300)
    song.write_bytes(data)
    found, warnings = decode_whole(song)
    assert found.shape[1] > 9.5 * 44100
    assert 0 < len(warnings) <= 6
    assert not any("0x" in text or str(tmp_path) in text for text in warnings)


def test_a_file_that_is_damaged_from_its_start_is_refused(tmp_path):
    song = store(tmp_path / "a.flac", noise(10 * 44100), 44100)
    info = probe(song)
    data = song.read_bytes()
    song.write_bytes(data[:9000] + np.random.default_rng(1).bytes(len(data) - 9000))
    with pytest.raises(InputError, match=r"cannot be decoded: .+|truncated"):
        list(decode(info))


def test_a_file_that_disappears_is_an_input_error(tmp_path):
    song = store_wav(tmp_path / "a.wav", noise(1000))
    info = probe(song)
    song.unlink()
    with pytest.raises(InputError, match="no such file"):
        next(decode(info))


@pytest.mark.skipif(os.name == "nt", reason="shell scripts stand for ffmpeg")
def test_a_broken_ffmpeg_is_not_blamed_on_the_song(tmp_path, monkeypatch):
    info = probe(store(tmp_path / "a.aiff", noise(1000), 44100))
    script = tmp_path / "ffmpeg"
    for text, error, reason in (
        ("exit 1", ResourceError, "does not work: it exited with status 1 and printed nothing"),
        ("echo libsoxr.so: not found >&2; exit 127", ResourceError, "work: libsoxr.so: not found"),
        ("echo '[error] no such stream' >&2; exit 1", InputError, "decoded: no such stream"),
        ("kill -11 $$", InputError, "cannot be decoded: ffmpeg was killed by SIGSEGV"),
    ):
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
        monkeypatch.setenv("STEMSPLIT_FFMPEG", str(script))
        with pytest.raises(error, match=reason) as e:
            list(decode(info))
        if error is ResourceError:
            assert e.value.path == str(script)
            assert "STEMSPLIT_FFMPEG" in (e.value.hint or "")


def test_closing_early_leaves_no_process(tmp_path):
    song = tmp_path / "a.au"
    size = 600 * 44100 * 4  # ten minutes, so that ffmpeg waits at a full pipe
    with song.open("wb") as file:
        file.write(struct.pack(">4s5I", b".snd", 24, size, 3, 44100, 2))
        file.truncate(24 + size)
    before = children()
    decoder = decode(probe(song))
    assert next(decoder).shape == (2, 44100)
    (child,) = [p for p in children() if p not in before]
    decoder.close()
    assert not child.is_running()
    assert list(decoder) == []
    with pytest.raises(RuntimeError), decode(probe(song)) as decoder:
        next(decoder)
        raise RuntimeError
    assert children() == before


def test_every_format_here_is_known():
    assert set(LOSSY) | set(EXACT) <= set(ENCODERS)
