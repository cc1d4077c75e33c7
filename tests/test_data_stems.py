"""Stems by name, in the layouts of data sets, and as sums of parts or of all other stems."""

from pathlib import Path

import pytest
from audio_files import noise, store, store_stem_file

from stemsplit.data.stems import MAP, StemFiles, find_stems
from stemsplit.errors import ExitCode, InputError, UsageError

FOUR = ("vocals", "drums", "bass", "other")
REAL = Path(__file__).parent.parent / ".." / "shared" / "stems"


@pytest.fixture
def folder(tmp_path):
    """Return a function that makes a folder of files with the given names and no real content."""

    def make(*names):
        place = tmp_path / "My Song"
        place.mkdir()
        for name in names:
            (place / name).write_bytes(b"x")
        return place

    return make


def names_of(found):
    return {stem: [path.name for path in audio.paths] for stem, audio in found.stems.items()}


def test_a_folder_of_musdb18_hq(folder):
    place = folder("mixture.wav", *(f"{name}.wav" for name in FOUR))
    found = find_stems(place, FOUR)
    assert names_of(found) == {name: [f"{name}.wav"] for name in FOUR}
    assert found.mixture == StemFiles(paths=(place / "mixture.wav",))
    assert found.remarks == ()


def test_only_the_stems_that_are_wanted_in_their_order(folder):
    found = find_stems(folder("bass.wav", "drums.wav", "vocals.wav"), ["vocals", "bass"])
    assert list(found.stems) == ["vocals", "bass"]
    assert found.mixture is None


def test_all_that_is_there(folder):
    found = find_stems(
        folder("mixture.wav", "vocals.wav", "no_vocals.wav", "kick.wav", "bass.mp3", "---.wav")
    )
    assert list(found.stems) == ["vocals", "bass", "---", "kick", "no_vocals"]
    assert found.remarks == ()


@pytest.mark.parametrize(
    "name",
    [
        "vocals.wav",
        "Vocals.FLAC",
        "VOCALS.OGG",
        "My Song - vocals.wav",
        "My Song - Vocals.aiff",
        "my_song_vocals.mp3",
        "my.song.vocals.m4a",
        "My Song (Vocals).opus",
        "01 Drums of Bass [vocals].wv",
    ],
)
def test_names_that_say_vocals(folder, name):
    place = folder(name, "no_vocals.wav", "readme.txt", ".vocals.wav", "cover.png")
    assert names_of(find_stems(place, ["vocals"])) == {"vocals": [name]}


@pytest.mark.parametrize("name", ["song_no_vocals.wav", "avocals.wav", "vocals.txt", "mix.wav"])
def test_names_that_do_not_say_vocals(folder, name):
    place = folder(name, "drums.wav")
    assert "vocals" not in find_stems(place, ["vocals", "drums"]).stems


def test_a_name_that_is_only_the_stem_takes_precedence_over_one_that_ends_with_it(folder):
    place = folder("song_vocals.wav", "vocals.wav")
    assert names_of(find_stems(place, ["vocals"])) == {"vocals": ["vocals.wav"]}


def test_two_files_for_one_stem_are_an_error_that_names_both(folder):
    place = folder("vocals.flac", "vocals.wav", "drums.wav")
    with pytest.raises(InputError, match=r"vocals\.flac and vocals\.wav both match the stem"):
        find_stems(place, ["vocals"])
    assert names_of(find_stems(place, ["drums"])) == {"drums": ["drums.wav"]}
    chosen = find_stems(place, ["vocals"], mapping={"vocals": "vocals.wav"})
    assert names_of(chosen) == {"vocals": ["vocals.wav"]}


def test_parts_are_summed_with_a_remark(folder):
    place = folder("vocals_lead.opus", "vocals_backing.opus", "drums.opus")
    found = find_stems(place, ["vocals", "drums"])
    assert names_of(found)["vocals"] == ["vocals_backing.opus", "vocals_lead.opus"]
    assert found.remarks == ("vocals: sum of vocals_backing.opus + vocals_lead.opus",)


def test_parts_next_to_the_whole_are_not_summed_again(folder):
    place = folder("vocals.wav", "vocals_lead.wav", "Backing Vocals.wav", "drums.wav", "bass.wav")
    found = find_stems(place, ["vocals", "no_drums"])
    assert names_of(found) == {"vocals": ["vocals.wav"], "no_drums": ["vocals.wav", "bass.wav"]}


@pytest.mark.parametrize("name", ["instrumental", "accompaniment", "no_vocals", "minus_vocals"])
def test_the_rest_is_summed(folder, name):
    place = folder("mixture.wav", *(f"{stem}.wav" for stem in FOUR))
    found = find_stems(place, ["vocals", name])
    assert names_of(found)[name] == ["drums.wav", "bass.wav", "other.wav"]
    assert found.stems[name].missing == ()
    remark = f"{name}: sum of all stems except vocals: drums.wav + bass.wav + other.wav"
    assert found.remarks == (remark,)


def test_the_rest_is_what_a_file_is_named_for(folder):
    place = folder("accompaniment.wav", "vocals.wav", "drums.wav")
    found = find_stems(place, ["no_vocals"])
    assert names_of(found) == {"no_vocals": ["accompaniment.wav"]}
    assert found.remarks == ("no_vocals: taken from accompaniment.wav",)


def test_the_sum_of_the_rest_reports_missing_stems_and_unknown_files(folder):
    place = folder("vocals.wav", "drums.wav", "other.wav", "spare take.wav", "drums_close.wav")
    found = find_stems(place, ["vocals", "instrumental"])
    assert found.stems["instrumental"].missing == ("bass",)
    assert names_of(found)["instrumental"] == ["drums.wav", "other.wav"]
    assert found.remarks[0].endswith(
        "drums.wav + other.wav; missing: bass; not recognised as stems, left out: spare take.wav"
    )


def test_other_is_all_that_the_model_does_not_name(folder):
    place = folder(*(f"{stem}.wav" for stem in (*FOUR, "piano")))
    two = find_stems(place, ["vocals", "other"])
    assert names_of(two)["other"] == ["drums.wav", "bass.wav", "other.wav", "piano.wav"]
    assert two.remarks[0].startswith("other: sum of all stems except vocals: drums.wav + bass.wav")
    four = find_stems(place, ["vocals", "other"], sources=FOUR)
    assert names_of(four)["other"] == ["other.wav", "piano.wav"]
    assert find_stems(place, ["vocals", "other"], sources=[*FOUR, "piano"]).remarks == ()
    assert names_of(find_stems(place, ["other"])) == {"other": ["other.wav"]}


def test_a_stem_without_a_file_is_left_out_with_a_remark(folder):
    place = folder("vocals.wav", "drums.wav")
    found = find_stems(place, FOUR)
    assert list(found.stems) == ["vocals", "drums"]
    assert found.remarks[0] == f"bass: no file in {place}, left out"


def test_a_mapping_names_files(folder):
    place = folder("bassline.wav", "Gesang.flac", "full.wav", "drums.wav")
    mapping = {"bass": "bassline.wav", "Vocals": "gesang.*", "mixture": "full.wav"}
    found = find_stems(place, ["vocals", "instrumental"], mapping=mapping)
    assert names_of(found) == {
        "vocals": ["Gesang.flac"],
        "instrumental": ["drums.wav", "bassline.wav"],
    }
    assert found.mixture == StemFiles(paths=(place / "full.wav",))


def test_several_files_that_are_mapped_to_a_stem_are_summed(folder):
    place = folder("a1.wav", "a2.wav", "b.wav", "vocals.wav")
    found = find_stems(place, ["bass", "vocals"], mapping={"bass": ["a?.wav", "b.wav", "a1*"]})
    assert names_of(found) == {"bass": ["a1.wav", "a2.wav", "b.wav"], "vocals": ["vocals.wav"]}
    assert found.remarks == ("bass: sum of a1.wav + a2.wav + b.wav",)
    assert names_of(find_stems(place, ["bass"], mapping={"bass": "a?.wav"})) == {
        "bass": ["a1.wav", "a2.wav"]
    }


def test_mappings_without_a_file_or_of_an_unknown_stem(folder):
    place = folder("bassline.wav")
    with pytest.raises(InputError, match=r"no file matches 'b\.wav', which is mapped to bass"):
        find_stems(place, ["bass"], mapping={"bass": "b.wav"})
    with pytest.raises(UsageError, match="mapped to the unknown stem 'bas'"):
        find_stems(place, ["bass"], mapping={"bas": "bassline.wav"})
    own = find_stems(place, ["bas"], mapping={"bas": "bassline.wav"})
    assert names_of(own) == {"bas": ["bassline.wav"]}


def test_what_cannot_be_found(folder, tmp_path):
    with pytest.raises(InputError, match="no such folder") as raised:
        find_stems(tmp_path / "nowhere", FOUR)
    assert raised.value.exit_code == ExitCode.FILE
    with pytest.raises(InputError, match="cannot be read: embedded null byte"):
        find_stems(Path("a\0b"), FOUR)
    place = folder("notes.txt")
    with pytest.raises(InputError, match="this folder contains no audio files"):
        find_stems(place, FOUR)
    (place / "song.wav").write_bytes(b"x")
    with pytest.raises(InputError, match="has none of the stems vocals, drums") as raised:
        find_stems(place, FOUR)
    assert raised.value.hint == f"files found: song.wav; {MAP}"


def test_a_file_of_five_streams(tmp_path):
    stems = [noise(4_410, seed=seed) for seed in range(5)]
    path = store_stem_file(tmp_path / "song.stem.mp4", stems)
    found = find_stems(path, [*FOUR, "no_vocals"])
    streams = {name: audio.streams for name, audio in found.stems.items()}
    assert streams.pop("no_vocals") == (1, 2, 3)
    assert streams == {"vocals": (4,), "drums": (1,), "bass": (2,), "other": (3,)}
    assert found.mixture == StemFiles(paths=(path,))
    assert str(found.stems["vocals"]) == "song.stem.mp4 (stream 5)"
    with pytest.raises(UsageError, match="a mapping needs a folder of files"):
        find_stems(path, FOUR, mapping={"bass": "x.wav"})


def test_a_file_of_fewer_streams(tmp_path):
    song = store(tmp_path / "song.flac", noise(4_410), 44_100)
    with pytest.raises(InputError, match=r"song\.flac: has no audio stream number 5"):
        find_stems(song, FOUR)


@pytest.mark.skipif(not REAL.is_dir(), reason="no real stems")
def test_real_songs():
    found = find_stems(REAL / "train" / "lithium", [*FOUR, "instrumental"])
    assert [len(audio.paths) for audio in found.stems.values()] == [2, 1, 1, 1, 3]
    found = find_stems(REAL / "eval" / "mdb_rock", FOUR)
    assert (len(found.stems), found.remarks) == (4, ())
    assert found.mixture is not None
