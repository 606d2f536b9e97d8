"""A local Model API that behaves, and misbehaves, like the real one.

``async with Emulator(Settings(slots=2)) as emulator`` serves on loopback; its ``base_url`` is the
API's base, its ``ledger`` says exactly what it was asked, and its ``faults`` make it go wrong.
"""

from overnight.emulator.faults import FAULTS, Fault, Kind
from overnight.emulator.ledger import Accepted, Ledger, Received
from overnight.emulator.routes import Call
from overnight.emulator.rules import Rule, Rules
from overnight.emulator.server import Emulator
from overnight.emulator.settings import DEFAULT_TOKEN, EmulatorError, Settings, Span

__all__ = [
    "DEFAULT_TOKEN",
    "FAULTS",
    "Accepted",
    "Call",
    "Emulator",
    "EmulatorError",
    "Fault",
    "Kind",
    "Ledger",
    "Received",
    "Rule",
    "Rules",
    "Settings",
    "Span",
]
