"""YAML documents and their contracts: loading with line numbers in every error, saving whole or not at all.

Loading parses with libyaml and validates with the contract's pydantic model. Only when something is wrong is the text
parsed again into nodes, to find the line that the error names.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml
from pydantic import BaseModel, ValidationError

from airbrush_cli import files
from airbrush_cli.errors import InputError
from airbrush_cli.schemas.base import Document

MAX_BYTES = 64_000_000
MAX_DEPTH = 50
# Block nesting deep enough to look at: dashes in a row, or a wide indent.
_SUSPICIOUS = re.compile(r"(?:- ){20}|^ {60}", re.MULTILINE)

M = TypeVar("M", bound=BaseModel)
Location = tuple[str | int, ...]


class _Loader(yaml.CSafeLoader):
    """libyaml's safe loader, which also refuses a key that stands twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen and isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key_node.value}: stands twice in one mapping", key_node.start_mark
                )
            if isinstance(key_node, yaml.ScalarNode):
                seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


def parse(text: str, source: str) -> Any:
    """Return the plain data of a YAML text.

    Args:
        text: the whole text.
        source: the name that errors give it, usually the file's path.

    Raises:
        InputError: not YAML, a repeated key, or an alias (`*name`): documents here never need one, and aliases
            upon aliases are a way to fill the memory.
    """
    try:
        if "*" in text or _SUSPICIOUS.search(text) or _bracket_depth(text) > MAX_DEPTH:
            _refuse_traps(text, source)
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        number = getattr(error.problem_mark, "line", None)
        line = "" if number is None else f":{number + 1}"
        raise InputError(f"{source}{line}: {error.problem or 'not valid YAML'}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from error


def _bracket_depth(text: str) -> int:
    """Return the deepest nesting of brackets, at least: those within quotes count too."""
    data = np.frombuffer(text.encode(), np.uint8)
    steps = np.isin(data, (0x5B, 0x7B)).astype(np.int32) - np.isin(data, (0x5D, 0x7D))
    return int(np.cumsum(steps).max(initial=0))


def _refuse_traps(text: str, source: str) -> None:
    """Refuse aliases, and nesting so deep that libyaml's recursive composer would overflow the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        line = getattr(event.start_mark, "line", 0) + 1
        if isinstance(event, yaml.AliasEvent):
            raise InputError(f"{source}:{line}: aliases (*{event.anchor}) are not allowed")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise InputError(f"{source}:{line}: nested more than {MAX_DEPTH} deep")


def read(path: Path) -> str:
    """Return the text of a YAML file.

    Raises:
        InputError: it cannot be read, is too large, or is not UTF-8 text.
    """
    data = files.read_bytes(path, MAX_BYTES)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file (UTF-8)") from error


def load(path: Path, model: type[M]) -> M:
    """Load and check a YAML file.

    Raises:
        InputError: one line of the form `file:line: key: what is allowed (found what)`.
    """
    text = read(path)
    return validate(parse(text, str(path)), model, str(path), text)


def validate(
    data: Any, model: type[M], source: str, text: str = "", origins: Mapping[Location, str] | None = None
) -> M:
    """Check plain data against a contract.

    Args:
        data: what `parse` returned.
        model: the contract.
        source: name of the file for errors.
        text: the YAML text, in which an error's line is looked up.
        origins: for values that did not come from the file, the words that name their origin (`--set a.b=c`).

    Raises:
        InputError: see `load`.
    """
    if not isinstance(data, dict):
        found = "nothing" if data is None else f"a {type(data).__name__}"
        raise InputError(f"{source}:1: must be a mapping of keys to values (found {found})")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        # A misspelt key is reported as unknown and as missing: the first says more.
        details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
        first = details[0]
        location = tuple(first["loc"])
        for prefix, words in (origins or {}).items():
            if location[: len(prefix)] == prefix:
                where = words
                break
        else:
            line = line_of(text, location)
            where = f"{source}:{line}" if line else source
        more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
        raise InputError(f"{where}: {_describe(first, location, model)}{more}") from None


def dump(data: Any) -> str:
    """Return YAML text for plain data: keys in the given order, innermost lists and mappings on one line.

    Raises:
        InputError: it holds a path that is not UTF-8.
    """
    try:
        return yaml.dump(
            data, Dumper=yaml.CSafeDumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True
        )
    except UnicodeEncodeError as error:
        raise InputError(f"{error.object}: not UTF-8, as what a document holds must be; rename it") from error


def save(document: Document, path: Path) -> None:
    """Write a document, whole or not at all."""
    files.write_text(path, dump(document.to_data()))


def line_of(text: str, location: Location) -> int | None:
    """Return the 1-based line of the value at `location`, or of its nearest parent; None for no text."""
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader) if text else None
    except yaml.YAMLError:
        return None
    if node is None:
        return None
    line = node.start_mark.line
    for step in location:
        if isinstance(node, yaml.MappingNode):
            for key_node, value_node in node.value:
                if key_node.value == str(step):
                    line, node = key_node.start_mark.line, value_node
                    break
            else:
                break
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
        else:
            break
    return line + 1


def _describe(detail: Any, location: Location, model: type[BaseModel]) -> str:
    """Turn one pydantic error into `key: must be … (found …)`."""
    kind, context = detail["type"], detail.get("ctx", {})
    key = ".".join(str(step) for step in location)
    if kind == "extra_forbidden":
        parent = _model_at(model, location[:-1])
        known = [field.alias or name for name, field in parent.model_fields.items()] if parent else []
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        return f"{key}: unknown key; {hint}"
    if kind == "missing":
        return f"{key}: is missing"
    if kind in ("value_error", "assertion_error"):
        message = str(context.get("error", detail["msg"]))
        return f"{key}: {message}" if key else message
    phrases = {
        "greater_than_equal": "must be at least {ge:g}",
        "greater_than": "must be greater than {gt:g}",
        "less_than_equal": "must be at most {le:g}",
        "less_than": "must be less than {lt:g}",
        "too_short": "must have at least {min_length} items",
        "too_long": "must have at most {max_length} items",
        "literal_error": "must be one of {expected}",
        "enum": "must be one of {expected}",
        "finite_number": "must be a finite number",
        "string_pattern_mismatch": "must match {pattern}",
    }
    families = {
        "int": "must be a whole number",
        "float": "must be a number",
        "bool": "must be true or false",
        "string": "must be text",
        "list": "must be a list",
        "tuple": "must be a list",
        "dict": "must be a mapping",
        "model": "must be a mapping",
    }
    if kind in phrases:
        phrase = phrases[kind].format(**context)
    else:
        phrase = families.get(kind.split("_")[0], detail["msg"][:1].lower() + detail["msg"][1:])
    found = detail["input"]
    shown = "" if isinstance(found, Mapping | list | tuple) else f" (found {_shorten(found)})"
    return f"{key}: {phrase}{shown}"


def _shorten(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    text = " ".join(text.split())
    return text if len(text) <= 40 else text[:37] + "..."


def _model_at(annotation: Any, location: Sequence[str | int]) -> type[BaseModel] | None:
    """Find the model that `location` leads to, through fields, lists, mappings and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not location:
            return annotation
        for name, field in annotation.model_fields.items():
            if location[0] in (name, field.alias):
                return _model_at(field.annotation, location[1:])
        return None
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (list, tuple, dict, Sequence, Mapping):
        return _model_at(arguments[-1] if origin in (dict, Mapping) else arguments[0], location[1:])
    if origin in (typing.Union, types.UnionType, typing.Annotated):
        for argument in arguments:
            found = _model_at(argument, location)
            if found:
                return found
    return None
