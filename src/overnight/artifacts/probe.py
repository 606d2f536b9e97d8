"""Looks at files before they get their names: what are they, and are they what was asked for?

Decoding happens in processes of their own (:mod:`~overnight.artifacts.decoder`), one file at a
time in each, with limits on time, memory and pixels. A decoder that dies or hangs over a file is
replaced, and that file is left undecoded: only what was seen makes a file suspect.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from overnight.artifacts import pyav, verdict
from overnight.artifacts.outcomes import Examine, Opinion
from overnight.assets import magic

SECONDS = 20.0
"""How long one file may be decoded; a clip of some minutes takes less."""

_AT_ONCE = 2
_RETIRES_AFTER = 500
"""Files after which a decoder is replaced, in case its memory only grows."""
_GRACE = 10.0
"""Seconds beyond the decoding's own time, for starting and loading the libraries."""

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "PYTHONPATH", "PYTHONHOME",
              "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV")  # fmt: skip
"""All that a decoder is told of the environment: no token goes where strangers' files are read."""


class _DecoderDied(Exception):
    """The message says what the file did to it."""


@dataclass(slots=True)
class _Decoder:
    """One process that decodes; started when it is first needed."""

    process: asyncio.subprocess.Process | None = None
    looked: int = 0

    async def ask(self, seconds: float, **asked: str) -> dict[str, Any]:
        """What the process answers to a question about a file. Raises :class:`_DecoderDied`."""
        process = self.process or await self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        question = json.dumps({**asked, "seconds": seconds}) + "\n"
        try:
            async with asyncio.timeout(2 * seconds + _GRACE):
                process.stdin.write(question.encode())
                await process.stdin.drain()
                answer = await process.stdout.readline()
        except (TimeoutError, ConnectionError):
            answer = b""
        except BaseException:
            await self.stop()
            raise
        self.looked += 1
        try:
            facts: dict[str, Any] = json.loads(answer)
        except ValueError:
            raise _DecoderDied(await self._cause()) from None
        if self.looked >= _RETIRES_AFTER:
            await self.stop()
        return facts

    async def _start(self) -> asyncio.subprocess.Process:
        self.looked = 0
        try:
            self.process = await self._spawn()
        except OSError as error:
            raise _DecoderDied(f"no decoder could be started: {error.strerror}") from error
        return self.process

    @staticmethod
    async def _spawn() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            # -P: a file av.py in the user's folder is not PyAV.
            *(sys.executable, "-P", "-m", "overnight.artifacts.decoder"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            # Ctrl-C is for us: we end it when we are done.
            start_new_session=True,
        )

    async def _cause(self) -> str:
        """Why there was no answer."""
        process = self.process
        await self.stop()
        code = None if process is None else process.returncode
        if code in (-14, -9):  # its own alarm, or ours
            return "it took too long to decode"
        return f"the decoder ended with code {code} over it"

    async def stop(self) -> None:
        """End the process, if there is one."""
        process, self.process = self.process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        # Reads what is left and closes the pipes, too.
        await process.communicate()


@dataclass(slots=True)
class Prober:
    """Looks at files, a few at a time. ``decodes`` false: only at their first bytes."""

    decodes: bool = field(default_factory=lambda: pyav.is_installed())
    seconds: float = SECONDS
    _free: asyncio.Queue[_Decoder] | None = None
    _all: list[_Decoder] = field(default_factory=list)

    def examiner(self, inputs: Mapping[str, Any]) -> Examine:
        """Something that looks at the files of a job with these inputs, as they are sent."""
        return partial(self._examine, inputs)

    async def _examine(self, inputs: Mapping[str, Any], path: Path, suffix: str) -> Opinion:
        start = await asyncio.to_thread(_start_of, path)
        suffix = suffix.lower()
        if (why := magic.problem(start, suffix)) is not None:
            return Opinion(why, {"probed": False, "why": why}, damaged=True)
        if suffix not in verdict.PROBED:
            return _unprobed("files of this kind are not decoded")
        if not self.decodes:
            return _unprobed(pyav.NOT_INSTALLED)
        try:
            facts = await self._ask(path=str(path))
        except _DecoderDied as died:
            return _unprobed(str(died))
        if "beyond" in facts:
            return _unprobed(facts["beyond"])
        found = verdict.wrong(facts, inputs, suffix)
        probe = {"probed": True} | facts
        return Opinion("; ".join(found) or None, probe, verdict.damaged(facts))

    async def draw(self, path: Path, poster: Path) -> bool:
        """Write a JPEG of a frame of the clip ``path`` to ``poster``, replacing what is there;
        False when that can't be done."""
        if not self.decodes:
            return False
        try:
            answer = await self._ask(path=str(path), poster=str(poster))
        except _DecoderDied:
            return False
        return "poster" in answer

    async def _ask(self, **asked: str) -> dict[str, Any]:
        if self._free is None:
            self._free = asyncio.Queue()
            self._all = [_Decoder() for _ in range(_AT_ONCE)]
            for one in self._all:
                self._free.put_nowait(one)
        decoder = await self._free.get()
        try:
            return await decoder.ask(self.seconds, **asked)
        finally:
            self._free.put_nowait(decoder)

    async def aclose(self) -> None:
        """End the decoders."""
        for decoder in self._all:
            await decoder.stop()
        self._all, self._free = [], None


def _unprobed(why: str) -> Opinion:
    return Opinion(None, {"probed": False, "why": why})


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(magic.LONGEST)
