"""pydicom's decoder plug-in for compressed frames, on imagecodecs (ADR 27)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import Decoder, DecodeRunner

__all__ = ["DECODER_DEPENDENCIES", "decode_frame", "decoder_of", "is_available"]

LABEL = "brainmets"
"""The plug-in's name in pydicom's tables."""

JPEG = (
    "1.2.840.10008.1.2.4.50",  # baseline, 8 bits
    "1.2.840.10008.1.2.4.51",  # extended, 8 or 12 bits
    "1.2.840.10008.1.2.4.57",  # lossless, any predictor
    "1.2.840.10008.1.2.4.70",  # lossless, first predictor
)
JPEG_LS = (
    "1.2.840.10008.1.2.4.80",  # lossless
    "1.2.840.10008.1.2.4.81",  # near-lossless
)
JPEG_2000 = (
    "1.2.840.10008.1.2.4.90",  # lossless
    "1.2.840.10008.1.2.4.91",  # lossy allowed
    "1.2.840.10008.1.2.4.201",  # high-throughput, lossless
    "1.2.840.10008.1.2.4.202",  # high-throughput, lossless, by resolution
    "1.2.840.10008.1.2.4.203",  # high-throughput
)
DECODER_DEPENDENCIES = dict.fromkeys((*JPEG, *JPEG_LS, *JPEG_2000), ("imagecodecs",))
"""What pydicom asks of a plug-in: transfer syntax to packages."""


def is_available(uid: str) -> bool:
    """Return whether this plug-in decodes the transfer syntax."""
    return uid in DECODER_DEPENDENCIES


def decoder_of(syntax: str) -> tuple[Decoder, str]:
    """Return pydicom's decoder of a transfer syntax and the plug-in to use; pydicom's own for RLE.

    Raises:
        NotImplementedError: nothing decodes the syntax.
    """
    from pydicom.pixels.decoders.base import get_decoder

    decoder = get_decoder(syntax)
    if not is_available(syntax):
        return decoder, "pydicom"
    if LABEL not in decoder.available_plugins:
        decoder.add_plugin(LABEL, (__name__, decode_frame.__name__))
    return decoder, LABEL


def decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """Return one frame's pixels as bytes, and tell `runner` how wide they are.

    Raises:
        ValueError, RuntimeError, OSError: the frame is damaged.
    """
    from imagecodecs import jpeg2k_decode, jpeg8_decode, jpegls_decode

    decode = (
        jpeg8_decode
        if runner.transfer_syntax in JPEG
        else jpegls_decode
        if runner.transfer_syntax in JPEG_LS
        else jpeg2k_decode
    )
    pixels = decode(src)
    runner.set_option("bits_allocated", 8 * pixels.itemsize)
    return pixels.tobytes()
