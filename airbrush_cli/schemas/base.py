"""What all contracts share: unknown keys are refused, values are immutable, `schema:` names the kind and version."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


class Model(BaseModel):
    """Base of every part of a document or config file. Use keyword arguments; fields are read-only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=False)


class Document(Model):
    """Base of documents that carry their kind and version, as `schema: stroke.v1`."""

    SCHEMA: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _check_schema(cls, data: Any) -> Any:
        if isinstance(data, dict) and "schema" in data:
            found = str(data["schema"])
            if found != cls.SCHEMA:
                same_kind = found.rpartition(".")[0] == cls.SCHEMA.rpartition(".")[0]
                remedy = "; another version of airbrush wrote it, and can read it" if same_kind else ""
                raise ValueError(f"schema must be {cls.SCHEMA} (found {found}){remedy}")
            return {key: value for key, value in data.items() if key != "schema"}
        if isinstance(data, dict):
            raise ValueError(f"schema: {cls.SCHEMA} is missing: is this the right kind of file?")
        return data

    def to_data(self) -> dict[str, Any]:
        """Return plain data for YAML, `schema` first, fields that are None left out."""
        return {"schema": self.SCHEMA, **self.model_dump(mode="json", exclude_none=True)}

    @classmethod
    def build(cls, **fields: Any) -> Any:
        """Construct from keyword arguments, without having to repeat `schema`."""
        return cls.model_validate({"schema": cls.SCHEMA, **fields})


def _ordered(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError(f"must be [low, high] with low <= high (found [{interval[0]:g}, {interval[1]:g}])")
    return interval


Interval = Annotated[tuple[float, float], AfterValidator(_ordered)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Unit = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=1, le=16384)]  # of a raster: A4 at 2000 dpi


class SizePx(Model):
    """A raster size in pixels."""

    w: Side
    h: Side

    @property
    def wh(self) -> tuple[int, int]:
        """(width, height)."""
        return (self.w, self.h)


class SizeMm(Model):
    """A page or work area in millimetres."""

    x: Positive
    y: Positive
