"""Ogg: pages, their checksums and their numbers, and files that lack their end."""

import pytest
from audio_files import noise, store
from stem_files import write_stem
from tagged_files import TEXTS, png

from stemsplit.audio import ogg
from stemsplit.audio.tags.model import Picture, Tags


def test_pages_have_right_checksums_and_numbers(tmp_path):
    """The checksums of libogg prove the ones that are written here."""
    theirs = store(tmp_path / "a.ogg", noise(20_000), 44100).read_bytes()
    place = 0
    while place < len(theirs):
        size = 27 + theirs[place + 26] + sum(theirs[place + 27 :][: theirs[place + 26]])
        page = bytearray(theirs[place : place + size])
        stored = int.from_bytes(page[22:26], "little")
        page[22:26] = bytes(4)
        assert ogg.checksum(page) == stored
        place += size
    tags = Tags(texts=TEXTS, picture=Picture(mime="image/png", data=png(300_000)))
    with write_stem(tmp_path / "ours", tags, "ogg").open("rb") as file:
        pages = list(ogg.pages(file))
    assert [page.number for page in pages] == list(range(len(pages)))
    assert len({page.serial for page in pages}) == 1
    assert pages[2].flags == ogg.CONTINUED
    assert pages[2].granule == ogg.NO_PACKET_ENDS


@pytest.mark.parametrize("name", ["a.ogg", "a.opus", "a.flac"])
def test_a_file_without_its_last_page(tmp_path, name):
    path = store(tmp_path / name, noise(100_000), 44100)
    assert ogg.ending_of(path) == "whole"
    data = path.read_bytes()
    of_ogg = data.startswith(b"OggS")
    for end in (len(data) - 1, data.rfind(b"OggS") + 20, len(data) // 2):
        path.write_bytes(data[: max(end, 4)])
        assert ogg.ending_of(path) == ("cut" if of_ogg else "whole")
    path.write_bytes(data[: max(data.rfind(b"OggS"), 4)])  # a recorder that was stopped
    assert ogg.ending_of(path) == ("unmarked" if of_ogg else "whole")
    path.write_bytes(data + b"TAG" + bytes(125))  # what a tagger has put after the last page
    assert ogg.ending_of(path) == "whole"


def test_the_channels_of_the_links_of_a_chain(tmp_path):
    mono = store(tmp_path / "1.ogg", noise(9000, 1), 44100).read_bytes()
    stereo = store(tmp_path / "2.opus", noise(9000, 2), 48000).read_bytes()
    chain = tmp_path / "a.ogg"
    chain.write_bytes(mono + stereo + mono)
    assert ogg.channels_of_links(chain) == [1, 2, 1]
    assert ogg.channels_of_links(store(tmp_path / "a.flac", noise(9000), 44100)) == []
