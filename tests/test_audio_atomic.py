"""What happens whole or not at all: small files, and steps that no signal interrupts."""

import os
import signal
import threading

import pytest

from stemsplit.audio.atomic import write_text
from stemsplit.errors import OutputError
from stemsplit.signals import signals_deferred


def test_a_text_replaces_what_is_there_and_makes_its_folders(tmp_path):
    path = tmp_path / "new" / "deep" / "a.txt"
    for text in ("first\n", "Ä \udcff\r\n"):
        write_text(path, text)
        assert path.read_bytes() == text.encode(errors="surrogateescape")
    assert os.listdir(path.parent) == ["a.txt"]


def test_a_text_that_cannot_be_put_in_its_place_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def refuse(source, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OutputError, match=r"a\.txt: cannot be written: Permission denied"):
        write_text(path, "new")
    assert os.listdir(tmp_path) == ["a.txt"]
    assert path.read_text() == "old"
    with pytest.raises(OutputError, match="cannot be written: embedded null"):
        write_text(tmp_path / "a\0" / "b", "new")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_signals_are_deferred_to_the_end_of_the_block():
    before = signal.getsignal(signal.SIGINT)
    done = []
    with pytest.raises(KeyboardInterrupt), signals_deferred():
        signal.raise_signal(signal.SIGINT)
        done.append("all of it")
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is before


def test_in_other_threads_nothing_is_deferred():
    handlers = []

    def look():
        with signals_deferred():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]
