"""Decodes media files in a process of its own, and says what they are. Needs PyAV.

``python -P -m overnight.artifacts.decoder`` reads one JSON object a line (``path``, ``seconds``,
and ``poster`` where a picture of it is wanted) and answers each with one line. Files come from
strangers and decoders are written in C: here a crash, a bomb or a hang costs one answer and nothing
else. An alarm ends the process when a file takes much too long, also when nobody waits for the
answer any more.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

MEMORY = 3 * 1024**3
"""Bytes of address space; a decoder that wants more gets an error."""
PIXELS = 8192 * 8192
"""Pixels of the largest frame that is decoded."""
THUMBNAIL = 64
"""Side, in pixels, of the small grey copy of a frame that is looked at."""
BLACK = 8
"""The brightest grey, of 255, that a picture without any light has."""
STILL = 2
"""How far, of 255, a grey may move in a clip in which nothing does: encoders waver that much."""

_STILL_IMAGES = "_pipe"
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,mpegts,gif,apng,png_pipe,"
    "jpeg_pipe,jpegls_pipe,webp_pipe,tiff_pipe,bmp_pipe,wav,mp3,flac,ogg,aac,aiff"
)
"""What is opened at all: no playlist, nor anything else that names further files or addresses."""

_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}


def look(path: str, seconds: float) -> dict[str, Any]:
    """What ``path`` is, decoded for ``seconds`` at most.

    ``{"error": …}`` for a file that is not media, ``{"beyond": …}`` for one that goes beyond what
    may be decoded, else ``kind``, ``container``, ``codec`` and what
    the kind has: ``width``, ``height``, and for videos ``frames`` (as decoded), ``declared_frames``
    (as the file says; null when it does not), ``rate`` and ``duration``. ``complete`` is false when
    the time was up before the end; ``black``, ``still`` and ``broken`` are about what was decoded.
    """
    import av

    try:
        with (
            Path(path).open("rb") as file,
            av.open(_Nameless(file), "r", options=_OPTIONS) as container,
        ):
            if not container.streams.video:
                return _sound(container, time.monotonic() + seconds)
            stream = container.streams.video[0]
            context = stream.codec_context
            if context.width * context.height > PIXELS:
                size = f"{context.width} × {context.height}"
                return {"beyond": f"{size} pixels are too many to decode"}
            return _pictures(container, stream, time.monotonic() + seconds)
    except MemoryError:
        return {"beyond": "it takes more memory than a decoder may have"}
    except (av.error.FFmpegError, OSError, ValueError, OverflowError) as error:
        return {"error": getattr(error, "strerror", None) or str(error)}


class _Nameless:
    """A file without a name, so that only its content says what it is: FFmpeg takes a name such as
    ``100%d.png`` for a whole series of pictures."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell


def _pictures(container: InputContainer, stream: VideoStream, until: float) -> dict[str, Any]:
    seen = _Seen()
    declared = stream.frames or None
    complete = _decode(container, stream, until, seen)
    if seen.first is None and not complete:
        return {"beyond": "it took too long to decode"}
    if seen.first is None:
        return {"error": seen.broken or "it has no picture in it"}
    rate = stream.average_rate or stream.base_rate
    image = container.format.name.endswith(_STILL_IMAGES) and seen.frames == 1
    facts: dict[str, Any] = {
        "kind": "image" if image else "video",
        "container": container.format.name,
        "codec": stream.codec_context.name,
        "width": seen.width,
        "height": seen.height,
        "complete": complete,
        "broken": seen.broken,
        "black": seen.brightest <= BLACK,
    }
    if image:
        return facts
    return facts | {
        "frames": seen.frames,
        "declared_frames": declared,
        "rate": None if rate is None else round(float(rate), 3),
        "duration": _duration(container, stream, seen.frames, rate),
        "still": seen.frames > 1 and seen.moved <= STILL,
    }


def _duration(
    container: InputContainer, stream: VideoStream, frames: int, rate: Fraction | None
) -> float | None:
    """Seconds: as the file says, else what its frames come to."""
    if stream.duration is not None and stream.time_base is not None:
        return round(float(stream.duration * stream.time_base), 3)
    if container.duration is not None:
        return round(container.duration / 1_000_000, 3)
    return round(float(frames / rate), 3) if rate else None


def _decode(container: InputContainer, stream: VideoStream, until: float, seen: _Seen) -> bool:
    """Decode to the end; False when the time was up before. What can't be decoded is noted."""
    import av

    packets = container.demux(stream)
    while True:
        if time.monotonic() > until:
            return False
        try:
            packet = next(packets, None)
            if packet is None:
                return True
            for frame in packet.decode():
                seen.saw(frame)
        except av.error.FFmpegError as error:
            seen.broken = seen.broken or error.strerror or str(error)
            seen.errors += 1
            if seen.errors > 50:
                return True


class _Seen:
    """What the frames of one stream add up to."""

    def __init__(self) -> None:
        self.frames = 0
        self.errors = 0
        self.broken: str | None = None
        self.first: bytes | None = None
        self.width = self.height = 0
        self.brightest = 0
        self.moved = 0

    def saw(self, frame: VideoFrame) -> None:
        """Count a frame and hold it against the first."""
        self.frames += 1
        if self.frames > 1 and self.brightest > BLACK and self.moved > STILL:
            return  # neither black nor still: that can't change any more
        small = _thumbnail(frame)
        if self.first is None:
            self.first, self.width, self.height = small, frame.width, frame.height
        self.brightest = max(self.brightest, *small)
        if small != self.first:
            gap = max(abs(a - b) for a, b in zip(small, self.first, strict=True))
            self.moved = max(self.moved, gap)


def _thumbnail(frame: VideoFrame) -> bytes:
    small = frame.reformat(width=THUMBNAIL, height=THUMBNAIL, format="gray", interpolation="AREA")
    plane = small.planes[0]
    pixels, row = bytes(plane), plane.line_size
    return b"".join(pixels[n * row : n * row + THUMBNAIL] for n in range(THUMBNAIL))


# --- posters --------------------------------------------------------------------------------------


def draw(path: str, poster: str, seconds: float) -> dict[str, Any]:
    """Write a JPEG of the first frame of ``path`` that is not black to ``poster``; of the first one
    where all are. ``{"poster": …}``, or ``{"error": …}`` when there is none to be had."""
    import av

    try:
        with (
            Path(path).open("rb") as file,
            av.open(_Nameless(file), "r", options=_OPTIONS) as container,
        ):
            stream = container.streams.video[0]
            context = stream.codec_context
            if context.width * context.height > PIXELS:
                return {"error": "too many pixels to decode"}
            frame = _first_lit(container, stream, time.monotonic() + seconds)
            if frame is None:
                return {"error": "it has no picture in it"}
            Path(poster).write_bytes(_jpeg(frame))
    except (av.error.FFmpegError, OSError, ValueError, LookupError, MemoryError) as error:
        return {"error": str(error)}
    return {"poster": poster}


def _first_lit(container: InputContainer, stream: VideoStream, until: float) -> VideoFrame | None:
    """The first frame that is not black, of those that can be decoded by then; else the first."""
    import av

    first = None
    try:
        for frame in container.decode(stream):
            first = first or frame
            if max(_thumbnail(frame)) > BLACK:
                return frame
            if time.monotonic() > until:
                break
    except av.error.FFmpegError:
        pass  # what came before it will do
    return first


def _jpeg(frame: VideoFrame) -> bytes:
    import av

    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height = frame.width, frame.height
    encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 25)
    encoder.options = {"qmin": "2", "qmax": "4"}
    picture = frame.reformat(format="yuvj420p")
    picture.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])


def _sound(container: InputContainer, until: float) -> dict[str, Any]:
    import av

    if not container.streams.audio:
        return {"error": "it holds neither pictures nor sound"}
    stream = container.streams.audio[0]
    samples, complete, broken = 0, True, None
    try:
        for frame in container.decode(stream):
            samples += frame.samples
            if time.monotonic() > until:
                complete = False
                break
    except av.error.FFmpegError as error:
        broken = error.strerror or str(error)
    return {
        "kind": "audio",
        "container": container.format.name,
        "codec": stream.codec_context.name,
        "rate": stream.rate,
        "duration": round(samples / stream.rate, 3) if stream.rate else None,
        "complete": complete,
        "broken": broken,
    }


def _bound() -> None:
    """Take from this process what no honest file needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY or soft > MEMORY:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _asked() -> Iterator[dict[str, Any]]:
    for text in sys.stdin:
        yield json.loads(text)


def main() -> None:
    """Answer until stdin ends."""
    _bound()
    for asked in _asked():
        seconds = float(asked["seconds"])
        # Ends the process, whatever C code it is in.
        signal.setitimer(signal.ITIMER_REAL, 2 * seconds + 1)
        if "poster" in asked:
            answer = draw(asked["path"], asked["poster"], seconds)
        else:
            answer = look(asked["path"], seconds)
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
