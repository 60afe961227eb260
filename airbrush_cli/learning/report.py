"""report.html: what a run did, in one file that needs nothing else: figures, curves, parameters, paintings by epoch."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from airbrush_cli import documents, files
from airbrush_cli.errors import InputError
from airbrush_cli.imaging.load import load_image
from airbrush_cli.learning import charts
from airbrush_cli.learning.rows import Row, read_events, read_metrics
from airbrush_cli.learning.run import EVENTS, METRICS, RECORD, epoch_folder, epochs, read_record
from airbrush_cli.learning.style import STYLE
from airbrush_cli.schemas.run import METRICS as MEANINGS
from airbrush_cli.schemas.run import EpochState, Event, RunRecord
from airbrush_cli.schemas.search import Trials

REPORT = "report.html"
# Pictures are shown small; a report should go into a mail.
_PICTURE_HEIGHT, _PICTURE_QUALITY, _PAINTINGS = 420, 85, 12
_TILES = ("val_lpips", "lpips", "reward_mean", "val_psnr")


def write(run: Path) -> Path:
    """Write a run's report.html, from what its folder holds by now.

    Args:
        run: the run's folder.

    Returns:
        the report's path.

    Raises:
        InputError: not a run.
    """
    record = read_record(run)
    rows, events = read_metrics(run / METRICS), read_events(run / EVENTS)
    parts = [
        _header(record, rows),
        _tiles(record, rows),
        _section("Paintings by epoch", _paintings(run)),
        _section("Curves", _curves(rows, events)),
        _section("Parameters and what came of them", _exploration(run, record)),
        _section("Events", _events(events)),
        _section("What made it", _provenance(run, record)),
    ]
    title = escape(record.name)
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )
    path = run / REPORT
    files.write_text(path, page)
    return path


def _section(title: str, inside: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{inside}</section>" if inside else ""


def _header(record: RunRecord, rows: Sequence[Row]) -> str:
    seconds = (record.progress.updated - record.created).total_seconds()
    length = f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"
    total = record.progress.total_steps
    step = max(record.progress.step, int(rows[-1]["step"]) if rows else 0)
    steps = charts.label(step) + (f" of {charts.label(total)}" if total else "")
    facts = (
        f"{record.created:%Y-%m-%d %H:%M} UTC · {length} · {steps} steps · {len(rows)} updates · {record.process.host}"
    )
    return (
        f'<header><p class="kind">{escape(record.kind)} <span class="state {record.state}">{record.state}</span></p>'
        f"<h1>{escape(record.name)}</h1><p>{escape(facts)}</p></header>"
    )


def _tiles(record: RunRecord, rows: Sequence[Row]) -> str:
    tiles = []
    for name in _TILES:
        values = [row[name] for row in rows if math.isfinite(row.get(name, math.nan))]
        if values:
            meaning = MEANINGS[name]
            best = min(values) if meaning.better == "lower" else max(values)
            tiles.append(
                f'<div class="tile"><b>{charts.label(best)}</b><span>best {escape(meaning.title)}</span>'
                f"<i>{charts.label(values[0])} → {charts.label(values[-1])}</i></div>"
            )
    for name, value in record.figures.items():
        if name not in _TILES:
            tiles.append(f'<div class="tile"><b>{charts.label(value)}</b><span>final {escape(name)}</span></div>')
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


def _curves(rows: Sequence[Row], events: Sequence[Event]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    order = list(MEANINGS)
    shown = sorted(set(names) - {"step", "epoch", "time"}, key=lambda name: order.index(name) if name in order else 99)
    marks = [
        charts.Mark(event.step, f"step {event.step}: {event.kind}: {event.message}", event.is_trouble)
        for event in events
        if event.kind not in ("note", "checkpoint")
    ]
    figures = []
    for name in shown:
        pairs = [(row["step"], row[name]) for row in rows if name in row]
        drawing = charts.curve([x for x, _ in pairs], [y for _, y in pairs], marks)
        title, better = MEANINGS.get(name, (name, ""))
        arrow = {"higher": "↑", "lower": "↓"}.get(better, "")
        newest = charts.label(pairs[-1][1]) if math.isfinite(pairs[-1][1]) else "not a number"
        caption = f"<b>{escape(title)}</b> {arrow}<span>{newest}</span>"
        figures.append(f"<figure><figcaption>{caption}</figcaption>{drawing}</figure>")
    return f'<div class="charts">{"".join(figures)}</div>' if figures else ""


def _paintings(run: Path) -> str:
    numbers = epochs(run)
    if not numbers:
        return ""
    chosen = sorted({numbers[round(index)] for index in np.linspace(0, len(numbers) - 1, _PAINTINGS)})
    last = epoch_folder(run, numbers[-1])
    cards = []
    for number in chosen:
        folder = epoch_folder(run, number)
        try:
            state = documents.load(folder / "state.yaml", EpochState)
            uri = _data_uri(folder / "canvas.png")
        except InputError:
            continue
        words = [f"{MEANINGS[k].title if k in MEANINGS else k} {charts.label(v)}" for k, v in state.figures.items()]
        detail = " · ".join([*words, f"{state.strokes} strokes"])
        cards.append(_card(uri, f"epoch {number}", detail))
    try:
        cards.append(_card(_data_uri(last / "target.png"), "target", "what it should look like", "target"))
        cards.append(_card(_data_uri(last / "heatmap.png"), "paint", f"where it lies in epoch {numbers[-1]}"))
    except InputError:
        pass  # an epoch without a heatmap
    return f'<div class="paintings">{"".join(cards)}</div>'


def _card(uri: str, title: str, detail: str, kind: str = "") -> str:
    return (
        f'<figure class="{kind}"><img src="{uri}" alt="{escape(title)}"><figcaption><b>{escape(title)}</b>'
        f"<span>{escape(detail)}</span></figcaption></figure>"
    )


def _data_uri(path: Path) -> str:
    picture = load_image(path)
    height, width = picture.shape[:2]
    if height > _PICTURE_HEIGHT:
        size = (max(1, round(width * _PICTURE_HEIGHT / height)), _PICTURE_HEIGHT)
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(
        ".jpg", np.ascontiguousarray(picture[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _PICTURE_QUALITY]
    )
    assert done, "OpenCV encodes every 8-bit picture as JPEG"
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"


def _exploration(run: Path, record: RunRecord) -> str:
    """How the objective depends on each parameter: over the trials of the run's study, else over the runs beside it."""
    title, points = _trials(run) or _siblings(run, record)
    figures = []
    for name in sorted({key for params, _, _, _ in points for key in params}):
        found = [
            charts.Point(
                params[name], value, f"{words}: {name} {charts.label(params[name])}, {charts.label(value)}", chosen
            )
            for params, value, words, chosen in points
            if name in params
        ]
        xs = {point.x for point in found}
        if len(xs) < 2:
            continue
        logarithmic = min(xs) > 0 and max(xs) / min(xs) > 20
        figures.append(
            f"<figure><figcaption><b>{escape(name)}</b><span>{escape(title)}</span></figcaption>"
            f"{charts.scatter(found, logarithmic)}</figure>"
        )
    return f'<div class="charts">{"".join(figures)}</div>' if figures else ""


_Tried = list[tuple[dict[str, float], float, str, bool]]  # parameters, objective, words, whether it is this run


def _trials(run: Path) -> tuple[str, _Tried] | None:
    for folder in run.parents[:5]:
        if (folder / "trials.yaml").is_file():
            trials = documents.load(folder / "trials.yaml", Trials)
            here = str(run.relative_to(folder))
            tried = [
                (
                    one.params,
                    one.value if one.value is not None else one.last_value,
                    f"trial {one.number}",
                    one.run == here,
                )
                for one in trials.trials
            ]
            return trials.objective, [(a, b, c, d) for a, b, c, d in tried if b is not None]
    return None


def _siblings(run: Path, record: RunRecord) -> tuple[str, _Tried]:
    found: _Tried = []
    for path in sorted(run.parent.glob(f"*/{RECORD}")):
        try:
            other = read_record(path.parent)
        except InputError:
            continue
        rows = read_metrics(path.parent / METRICS)
        values = [row["val_lpips"] for row in rows if math.isfinite(row.get("val_lpips", math.nan))]
        if other.kind == record.kind and values:
            found.append((_numbers(path.parent), min(values), other.name, path.parent == run))
    return "best validation LPIPS", found


def _numbers(run: Path) -> dict[str, float]:
    """The numbers in a run's settings by dotted key."""
    path = run / "config" / "train.yaml"
    if not path.is_file():
        return {}
    return dict(_flat(documents.parse(documents.read(path), str(path)), ""))


def _flat(data: Any, prefix: str) -> Iterable[tuple[str, float]]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield prefix, float(data)


def _events(events: Sequence[Event]) -> str:
    lines = [
        f'<tr class="{"trouble" if event.is_trouble else ""}"><td>{event.time:%m-%d %H:%M:%S}</td>'
        f'<td class="number">{event.step}</td><td>{event.kind}</td><td>{escape(event.message)}</td></tr>'
        for event in events
    ]
    head = '<tr><th>UTC</th><th class="number">step</th><th>what</th><th></th></tr>'
    return f"<table>{head}{''.join(lines)}</table>" if lines else ""


def _provenance(run: Path, record: RunRecord) -> str:
    tables: list[tuple[str, Mapping[str, object]]] = [
        ("versions", record.versions),
        ("seeds", record.seeds),
        ("determinism", record.determinism),
        ("parameters", record.parameters),
        ("SHA-256", record.hashes),
    ]
    blocks = [f"<pre>{escape(' '.join(record.command))}</pre>"]
    for title, values in tables:
        if values:
            cells = "".join(
                f"<tr><td>{escape(k)}</td><td><code>{escape(str(v))}</code></td></tr>" for k, v in values.items()
            )
            blocks.append(f"<details><summary>{title}</summary><table>{cells}</table></details>")
    for path in sorted((run / "config").glob("*.yaml")):
        text = escape(path.read_text(errors="replace"))
        blocks.append(f"<details><summary>config/{escape(path.name)}</summary><pre>{text}</pre></details>")
    return "".join(blocks)
