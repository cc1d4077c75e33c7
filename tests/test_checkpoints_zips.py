"""Zip archives: a large table of contents is refused, however the end record is disguised."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from stemsplit.checkpoints import zips

CONTENT = bytes(100_000)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "x.th"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x/data.pkl", CONTENT)
    return path


def test_a_member_may_be_larger_than_the_table_of_contents(archive, monkeypatch):
    monkeypatch.setattr(zips, "LARGEST_DIRECTORY", 10_000)
    with zips.open_zip(archive) as opened:
        assert opened.read("x/data.pkl") == CONTENT


def test_a_large_table_of_contents_is_refused(archive, monkeypatch):
    monkeypatch.setattr(zips, "LARGEST_DIRECTORY", 50)
    with pytest.raises(zipfile.BadZipFile, match="its table of contents has 56 bytes"):
        zips.open_zip(archive).__enter__()


def test_a_second_mark_does_not_hide_the_table_of_contents(archive, monkeypatch):
    """``zipfile`` corrects the position of the table, so that it may look like an end record."""
    monkeypatch.setattr(zips, "LARGEST_DIRECTORY", 50)
    data = bytearray(archive.read_bytes())
    data[-6:-2] = b"PK\5\6"
    archive.write_bytes(data)
    with zipfile.ZipFile(archive) as opened:
        assert opened.namelist() == ["x/data.pkl"]
    with pytest.raises(zipfile.BadZipFile, match="its table of contents has 56 bytes"):
        zips.open_zip(archive).__enter__()


def test_the_file_is_closed(archive):
    with zips.open_zip(archive) as opened:
        file = opened.fp
    assert file.closed
