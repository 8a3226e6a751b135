"""One mechanism for every configuration: frozen, checked, comparable, and safe to read from a file.

Conventions. A configuration is a frozen dataclass that derives from `Config`. Its fields are numbers, booleans,
`Literal` strings, `X | None`, `tuple[float, ...]` or other configurations. Values are checked against their
annotations when the object is made, so a wrong type is found at once whether it comes from a caller or from a file;
`_check_values` adds the ranges. In the dictionary form each configuration carries its class name under `"kind"`.
"""

import dataclasses
import math
import numbers
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Self

from gmmaudio.errors import ParameterError

KIND = "kind"


@dataclasses.dataclass(frozen=True)
class Config:
    """Base of all configurations; see the module's conventions.

    Raises
    ------
    ParameterError
        If a field has a value of the wrong type or outside its range.
    """

    def __post_init__(self) -> None:
        for name, annotation in _annotations(type(self)).items():
            object.__setattr__(self, name, _checked(annotation, getattr(self, name), f"{type(self).__name__}.{name}"))
        self._check_values()

    def _check_values(self) -> None:
        """Raise ParameterError where a field, or two fields together, cannot be used."""

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as nested dictionaries of numbers, strings, booleans and lists."""
        return {KIND: type(self).__name__} | {name: _plain(getattr(self, name)) for name in _annotations(type(self))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the configuration that `to_dict` described; the values may come from an untrusted file.

        Raises
        ------
        ParameterError
            If a key is unknown or missing, or a value has the wrong type or range.
        """
        config = _checked(cls, values, cls.__name__)
        assert isinstance(config, cls)
        return config

    def describe(self) -> str:
        """Return one line per field, `mfcc.n_mfcc: 13`, to be read by people."""
        return "\n".join(f"{path}: {_shown(value)}" for path, value in _flattened(self.to_dict()).items())

    def difference(self, other: "Config") -> list[str]:
        """Return the fields in which two configurations differ: `mfcc.n_mfcc: 13 here, 20 there`."""
        here, there = _flattened(self.to_dict()), _flattened(other.to_dict())
        return [
            f"{path}: {_shown(here.get(path))} here, {_shown(there.get(path))} there"
            for path in here | there
            if here.get(path) != there.get(path)
        ]


def check_names(given: Mapping[str, Any], valid: list[str], what: str) -> None:
    """Raise ParameterError when a name in `given` is not one of the valid ones."""
    unknown = [str(name) for name in given if name not in valid]
    if unknown:
        raise ParameterError(f"{what} has no {', '.join(unknown)}; the valid names are {', '.join(valid)}")


def check_range(name: str, value: float, lowest: float, highest: float) -> None:
    """Raise ParameterError when the value of a field is outside the closed range."""
    if not lowest <= value <= highest:
        raise ParameterError(f"{name} is {_brief(value)}; it must be from {lowest:g} to {highest:g}")


def _annotations(config_type: type) -> dict[str, Any]:
    """Return the annotation of each field of a configuration, in the order of definition."""
    hints = typing.get_type_hints(config_type)
    return {field.name: hints[field.name] for field in dataclasses.fields(config_type)}


def _checked(annotation: Any, value: Any, path: str) -> Any:
    """Return the value as its annotation wants it, or raise ParameterError that names the field."""
    origin, options = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return _checked_union(options, value, path)
    if origin is Literal:
        if not isinstance(value, str) or value not in options:
            raise ParameterError(f"{path} is {_brief(value)}; it must be one of {', '.join(options)}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ParameterError(f"{path} is {_brief(value)}; it must be a list of numbers")
        return tuple(_checked(options[0], item, f"{path}[{index}]") for index, item in enumerate(value))
    if issubclass(annotation, Config):
        return value if isinstance(value, annotation) else _decoded(annotation, value, path)
    return _checked_number(annotation, value, path)


def _checked_number(annotation: type, value: Any, path: str) -> float:
    """Return a boolean, an integer or a finite float."""
    if annotation is bool:
        if not isinstance(value, bool):
            raise ParameterError(f"{path} is {_brief(value)}; it must be true or false")
        return value
    if annotation is int:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise ParameterError(f"{path} is {_brief(value)}; it must be an integer")
        return int(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ParameterError(f"{path} is {_brief(value)}; it must be a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ParameterError(f"{path} is not finite; it must be a finite number")
    return number


def _checked_union(options: tuple[Any, ...], value: Any, path: str) -> Any:
    """Return the value as the one alternative that fits it: none, a configuration by its kind, or the plain type."""
    alternatives = [option for option in options if option is not types.NoneType]
    if value is None and len(alternatives) < len(options):
        return None
    if len(alternatives) == 1:
        return _checked(alternatives[0], value, path)
    kind = value.get(KIND) if isinstance(value, Mapping) else type(value).__name__
    for option in alternatives:
        if option.__name__ == kind:
            return _checked(option, value, path)
    known = ", ".join(option.__name__ for option in alternatives)
    raise ParameterError(f"{path} has the kind {_brief(kind)}; it must be one of {known}")


def _decoded(config_type: type[Config], values: Any, path: str) -> Config:
    """Return the configuration written in a dictionary."""
    if not isinstance(values, Mapping) or values.get(KIND) != config_type.__name__:
        raise ParameterError(f"{path} is {_brief(values)}; it must be a {config_type.__name__} or its dictionary")
    names = list(_annotations(config_type))
    check_names(values, [KIND, *names], path)
    missing = [name for name in names if name not in values]
    if missing:
        raise ParameterError(f"{path} lacks {', '.join(missing)}; the file may come from another version")
    return config_type(**{name: values[name] for name in names})


def _plain(value: Any) -> Any:
    """Return a field's value as JSON can hold it."""
    if isinstance(value, Config):
        return value.to_dict()
    return list(value) if isinstance(value, tuple) else value


def _flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested dictionaries as one dictionary with dotted names; a nested kind takes its owner's name."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if name == KIND:
            flat |= {prefix[:-1]: value} if prefix else {}
        elif isinstance(value, Mapping):
            flat |= _flattened(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _shown(value: Any) -> str:
    """Return a value for people: none instead of None, the first numbers of a long list."""
    if isinstance(value, list):
        return f"[{', '.join(f'{item:.4g}' for item in value[:4])}{', …' if len(value) > 4 else ''}]"
    return "none" if value is None else str(value)


def _brief(value: Any) -> str:
    """Return a value for an error message, however long a hostile one may be."""
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python prints
        text = f"a {type(value).__name__} too long to print"
    return text if len(text) <= 60 else text[:57] + "..."
