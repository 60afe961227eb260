"""The dry run of files and jobs, as people and programs see it."""

from __future__ import annotations

import logging
import mimetypes
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from airbrush_cli import config, console, documents, files, pictures
from airbrush_cli.errors import InputError, JobError
from airbrush_cli.gcode import dryrun, settings
from airbrush_cli.gcode.profile import Profile
from airbrush_cli.job import JobFolder
from airbrush_cli.schemas.machine import GrblSettings, Machine

log = logging.getLogger(__name__)

MAX_BYTES = 2_000_000_000
_SHOWN = 10


@dataclass(frozen=True)
class DryRun:
    """What a dry run is asked for.

    Attributes:
        machine: a profile in place of the job's (for files: of the default one).
        settings: a file of what the controller's `$$` prints.
        as_yaml: one YAML document per file on standard output.
        render: write a picture of what the G-code paints: a .png file, or a folder for one picture per job or file.
        physics: the twin's settings that jobs were painted with, in place of the shipped ones.
    """

    machine: Path | None = None
    settings: Path | None = None
    as_yaml: bool = False
    render: Path | None = None
    physics: Path | None = None
    _rendered: dict[Path, Path] = field(default_factory=dict)  # which input each picture is of

    def __call__(self, path: Path) -> Path | None:
        """Check a manifest's files, or one file of G-code (`-`: standard input), and return the path if all is well.

        Raises:
            InputError: not readable.
            JobError: a line is refused, or something is violated.
        """
        passed_on, folder = path, None
        if str(path) == "-":
            sources = {"-": sys.stdin.buffer.read()}
        elif path.is_dir() or path.suffix.lower() in (".yaml", ".yml"):
            folder = JobFolder.open(path)
            passed_on = folder.manifest
            artifacts = folder.job.artifacts
            names = [name for name in (artifacts.cmy_gcode_out, artifacts.pen_gcode_out) if name]
            if not names:
                raise InputError(f"{path}: the job has no G-code yet; run `airbrush gcode gen` on it")
            sources = {
                files.readable(folder.path(name)): files.read_bytes(folder.path(name), MAX_BYTES) for name in names
            }
        else:
            sources = {files.readable(path): files.read_bytes(path, MAX_BYTES)}
        machine = self._profile(folder)
        reports = [self._check(data, name, machine) for name, data in sources.items()]
        if self.render:
            likeness = self._render(list(sources.values()), machine, folder, path)
            reports = [replace(report, replay_psnr_db=likeness) for report in reports]
        for report in reports:
            self._tell(report)
        bad = [report.file for report in reports if not report.ok]
        if bad:
            raise JobError(f"{', '.join(bad)}: not fit for the machine")
        return None if self.as_yaml else passed_on

    def _profile(self, folder: JobFolder | None) -> Machine:
        if folder and not self.machine:
            return Profile.of(folder).machine
        return documents.load(self.machine or config.shipped("machine_grbl_airbrush_v1"), Machine)

    def _check(self, data: bytes, name: str, machine: Machine) -> dryrun.Report:
        controller: GrblSettings | None = None
        if self.settings:
            controller = settings.parse(documents.read(self.settings), str(self.settings), machine.grbl)
        return dryrun.check(data, machine, controller, name)

    def _render(self, sources: list[bytes], machine: Machine, folder: JobFolder | None, path: Path) -> float | None:
        """Paint the files one over the other, write the picture, and return how far it is from the job's painting."""
        from airbrush_cli.gcode.render import painting_distance, picture_of

        assert self.render is not None
        single = self.render.suffix.lower() == ".png"
        if not single and (mimetypes.guess_type(self.render)[0] or "").startswith("image/"):
            raise InputError(f"--render {self.render}: pictures are .png; name one, or a folder")
        target = self.render if single else self.render / f"{folder.job.job if folder else path.stem}.png"
        other = self._rendered.setdefault(target, path)
        if other != path:
            more = "name a folder for pictures of several inputs" if single else "they have the same name"
            raise InputError(f"{path}: --render {target} holds the picture of {other} already; {more}")
        picture = picture_of(sources, machine, folder, self.physics)
        pictures.write_png(target, picture)
        distance = painting_distance(picture, folder) if folder else None
        log.info("%s%s", target, f": {distance:.1f} dB from painting.png" if distance is not None else "")
        return distance

    def _tell(self, report: dryrun.Report) -> None:
        streams = console.current()
        if self.as_yaml:
            streams.result("---\n" + documents.dump(report.to_data()).rstrip())
        elif log.isEnabledFor(logging.INFO) and not streams.settings.quiet:
            streams.stderr.write(table(report))
            streams.stderr.flush()


def table(report: dryrun.Report) -> str:
    """Return the report as lines for people."""
    kinds = ", ".join(f"{kind} {duration(value)}" for kind, value in report.seconds_by_kind.items() if value > 0)
    rows = [
        ("time", f"{duration(report.seconds)} ({kinds})" if kinds else duration(report.seconds)),
        ("drawn", f"{report.length_mm['drawn'] / 1000:.2f} m"),
        ("travel", f"{report.length_mm['travel'] / 1000:.2f} m"),
        ("lines", f"{report.lines}, at most {report.peak_lines_per_s:.0f} a second"),
    ]
    if any(report.ink_mm.values()):
        rows.append(("ink", ", ".join(f"{ink.upper()} {value / 1000:.2f} m" for ink, value in report.ink_mm.items())))
    if report.bounds_mm:
        rows.append(
            ("bounds", ", ".join(f"{axis} {low:g} … {high:g}" for axis, (low, high) in report.bounds_mm.items()))
        )
    if report.last_stroke_id:
        rows.append(("strokes", f"{report.strokes}, the last is {report.last_stroke_id}"))
    lines = [report.file, *(f"  {key:<8} {value}" for key, value in rows)]
    lines += [f"  warning: {warning}" for warning in report.warnings]
    lines += [f"  line {error['line']}: error:{error['code']} {error['message']}" for error in report.errors[:_SHOWN]]
    lines += [f"  line {found['line']}: {found['kind']}: {found['message']}" for found in report.violations[:_SHOWN]]
    more = report.error_count + report.violation_count
    more -= min(len(report.errors), _SHOWN) + min(len(report.violations), _SHOWN)
    if more > 0:
        capped = max(report.error_count, report.violation_count) > dryrun.LISTED
        listed = f"the first {dryrun.LISTED} of each kind" if capped else "them"
        lines.append(f"  … and {more} more (--yaml lists {listed})")
    return "\n".join(lines) + "\n"


def duration(seconds: float) -> str:
    """Return a time for people: `1 h 02 min`, `3 min 05 s`, `4.2 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
