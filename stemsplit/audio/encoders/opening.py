"""Imports the encoder of a format when it is needed, and opens it for a file or a stream."""

from __future__ import annotations

from importlib import import_module

from stemsplit.audio.encoders.base import Encoder, Stem
from stemsplit.audio.encoders.pcm import ByteSink, Pcm
from stemsplit.audio.format_table import FORMATS
from stemsplit.audio.formats import clip_of
from stemsplit.options import EncodingOptions
from stemsplit.types import Format


def encoder_class(format: Format) -> type[Encoder]:
    """Return the encoder of ``format``, as named in the table of formats."""
    module, _, name = FORMATS[format].encoder.partition(":")
    found: type[Encoder] = getattr(import_module(f"stemsplit.audio.encoders.{module}"), name)
    return found


def open_encoder(stem: Stem) -> Encoder:
    """Return an encoder for ``stem``; the caller must call its ``abandon`` in the end.

    Raises ``OutputError``, or ``ResourceError`` for a full disk or a missing ffmpeg.
    """
    return encoder_class(stem.options.format)(stem)


def is_written_in_order(format: Format) -> bool:
    """Return whether a file of ``format`` is written strictly from start to end."""
    return issubclass(encoder_class(format), Pcm)


def can_stream(options: EncodingOptions) -> bool:
    """Return whether a stem can be written to a stream, without corrections at the end."""
    return is_written_in_order(options.format) and clip_of(options) != "linked"


def open_stream_encoder(stem: Stem, sink: ByteSink, *, bare: bool) -> Encoder:
    """Return an encoder that writes ``stem``, in a format that `can_stream`, to ``sink``.

    With ``bare``, only the samples are written. Raises ``OutputError``, and ``ValueError`` for any
    other format.
    """
    streaming = encoder_class(stem.options.format)
    if not issubclass(streaming, Pcm):
        raise ValueError(f"{stem.options.format} cannot be written to a stream")
    return streaming(stem, sink, bare=bare)
