"""One model: its inputs, the names they go by, and the check of values against them.

A value is first made canonical (:meth:`Model.canonical`), then checked (:meth:`Model.check` for
one input, :meth:`Model.problems` for a whole request). jsonschema-rs decides; the sentences are
ours (:mod:`overnight.catalog.wording`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from overnight.catalog import aliases, files, wording
from overnight.catalog.entry import Entry, Price
from overnight.catalog.measures import Measures
from overnight.catalog.nearest import nearest
from overnight.catalog.schema import InputSpec, Kind, SchemaError, read_input, standard

if TYPE_CHECKING:
    import jsonschema_rs

_EXACT = 1e21
"""Above this a whole number is kept as a float: nobody writes one out digit by digit."""


class AmbiguousAlias(Exception):
    """A name that more than one input could have. ``owners`` are their raw names."""

    def __init__(self, word: str, owners: tuple[str, ...]) -> None:
        super().__init__(f'"{word}" could be {" or ".join(owners)}; use one of these names')
        self.word = word
        self.owners = owners


@dataclass(frozen=True, slots=True)
class InputProblem:
    """One thing wrong with one input. ``name`` is a raw name, or the unknown word itself."""

    name: str
    message: str
    hint: str | None = None


@dataclass(frozen=True)
class Model:
    """A model that can be asked for. ``inputs`` are in the schema's order."""

    id: str
    inputs: tuple[InputSpec, ...]
    input_schema: Mapping[str, Any]
    """The schema as the catalogue gave it."""
    entry: Entry = field(repr=False)
    """What else the catalogue says of it."""

    @classmethod
    def from_entry(cls, entry: Entry) -> Model:
        """Read a catalogue's entry. Raises :class:`SchemaError` when its schema can't be used."""
        return cls.from_schema(entry.model_id, entry.input_schema, entry)

    @classmethod
    def from_schema(cls, model_id: str, input_schema: object, entry: Entry | None = None) -> Model:
        """Read a catalogue's ``input_schema``. Raises :class:`SchemaError`."""
        properties = input_schema.get("properties") if isinstance(input_schema, Mapping) else None
        if not isinstance(input_schema, Mapping) or not isinstance(properties, Mapping):
            raise SchemaError(f"The schema of {model_id} has no properties.")
        listed = input_schema.get("required")
        required = frozenset(listed) if isinstance(listed, list) else frozenset()
        specs = (
            read_input(name, schema, required=name in required)
            for name, schema in properties.items()
        )
        return cls(model_id, tuple(specs), input_schema, entry or Entry(model_id, input_schema))

    @property
    def price(self) -> Price | None:
        """The catalogue's price, with its date and where it is from; None when it gives none."""
        return self.entry.price

    @cached_property
    def schema_digest(self) -> str:
        """SHA-256, in hexadecimal, of the input schema as JSON with sorted keys and no spaces: the
        same for schemas that say the same."""
        return schema_digest(self.input_schema)

    @cached_property
    def measures(self) -> Measures:
        """Which inputs say how much is asked for."""
        return Measures.of(self.aliases, frozenset(self.by_name))

    @cached_property
    def by_name(self) -> Mapping[str, InputSpec]:
        """Raw name → input."""
        return {spec.name: spec for spec in self.inputs}

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """Raw name → what the server uses when the input is left out."""
        return {spec.name: spec.default for spec in self.inputs if spec.has_default}

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Raw names of the inputs that every request must carry."""
        return tuple(spec.name for spec in self.inputs if spec.required)

    @cached_property
    def aliases(self) -> aliases.Aliases:
        """The short names of the inputs."""
        return aliases.derive(self.inputs)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Every name that means an input: the aliases, then the raw names."""
        return (*self.aliases.owner, *self.by_name)

    def resolve(self, word: str) -> str | None:
        """The raw name that ``word`` (raw name or alias) means; None when no input has it.

        Raises :class:`AmbiguousAlias` when two inputs could have it.
        """
        if word in self.by_name:
            return word
        if word in self.aliases.shared:
            raise AmbiguousAlias(word, self.aliases.shared[word])
        return self.aliases.owner.get(word)

    def shortest(self, raw: str) -> str:
        """The shortest name of an input, for keys and for people."""
        return self.aliases.best[raw]

    def canonical(self, raw: str, value: Any) -> Any:
        """``value`` in the one form that equal values share: where the schema says number or
        integer, ``5.0`` is the integer 5. Everything else is returned as it is; text is never
        normalised, since the model sees it."""
        spec = self.by_name[raw]
        if isinstance(value, list):
            items = spec.rules.get("items")
            numeric = isinstance(items, Mapping) and items.get("type") in _NUMERIC
            return [_folded(item) for item in value] if numeric else value
        return _folded(value) if spec.kind in _NUMERIC else value

    def check(self, raw: str, value: Any, *, shown: str | None = None) -> InputProblem | None:
        """What is wrong with one canonical value; None when nothing is.

        ``shown`` is the name to use in the message, where people wrote another one.
        """
        spec = self.by_name[raw]
        name = shown or raw
        if not wording.representable(value):
            return InputProblem(raw, f"{name} holds half of a character pair (a lone surrogate)")
        validator = self._one[raw]
        if not validator.is_valid(value):
            message, hint = wording.explain(spec, value, list(validator.iter_errors(value)), name)
            return InputProblem(raw, message, hint)
        if spec.media is None:
            return None
        for address in value if isinstance(value, list) else [value]:
            wrong = files.address_problem(spec, address)
            if wrong is not None:
                return InputProblem(raw, f"{name} {wrong[0]}", wrong[1])
        return None

    def problems(self, inputs: Mapping[str, Any]) -> list[InputProblem]:
        """Everything wrong with a flat request body under raw names; empty when it is good.

        Names that are missing come first, then the body's own entries in its order.
        """
        found = [
            InputProblem(name, f"{name} is required, and it is missing")
            for name in self.required
            if name not in inputs
        ]
        for name, value in inputs.items():
            problem = self.check(name, value) if name in self.by_name else self._unknown(name)
            if problem is not None:
                found.append(problem)
        return found

    def require_usable(self) -> None:
        """Compile the rules of every input now. Raises :class:`SchemaError` when they can't be."""
        assert self._one is not None

    def _unknown(self, name: str) -> InputProblem:
        close = nearest(name, self.by_name)
        hint = f'did you mean "{close}"?' if close else f"known: {', '.join(self.by_name)}"
        return InputProblem(name, f'there is no input "{name}"', hint)

    @cached_property
    def _one(self) -> Mapping[str, jsonschema_rs.Validator]:
        """Raw name → compiled rules of that input."""
        import jsonschema_rs  # on first use: most commands never check a value

        shared = standard(self.input_schema)
        places: dict[str, Any] = {
            key: shared[key] for key in ("$defs", "definitions") if key in shared
        }
        compiled = {}
        for spec in self.inputs:
            try:
                compiled[spec.name] = jsonschema_rs.validator_for({**places, **spec.rules})
            except (ValueError, jsonschema_rs.ValidationError) as error:
                raise SchemaError(
                    f"The schema of {self.id} can't be used: its input {spec.name} has rules "
                    "that are not JSON Schema."
                ) from error
        return compiled


def schema_digest(input_schema: Mapping[str, Any]) -> str:
    """See :attr:`Model.schema_digest`."""
    text = json.dumps(input_schema, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


_NUMERIC = frozenset({Kind.INTEGER, Kind.NUMBER})


def _folded(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _EXACT:
        return float(value) if abs(value) < 10**300 else value
    return value
