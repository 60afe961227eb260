"""The command line as a whole: the tree, help, completions, reference, exit statuses, streams."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airbrush_cli import app, completions, console, reference
from airbrush_cli.__main__ import main as start

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "cv2", "numba", "mlflow", "scipy")


class Streams(console.Console):
    """A console whose streams are texts."""

    def __init__(self, stdin: str = "") -> None:
        super().__init__(io.StringIO(stdin), io.StringIO(), io.StringIO())

    @property
    def out(self) -> str:
        return self.stdout.getvalue()  # type: ignore[attr-defined]

    @property
    def err(self) -> str:
        return self.stderr.getvalue()  # type: ignore[attr-defined]


def invoke(*arguments: object, stdin: str = "") -> tuple[int, Streams]:
    with console.use(Streams(stdin)) as streams:
        status = app.run([str(argument) for argument in arguments])
        assert isinstance(streams, Streams)
        return status, streams


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell with `airbrush` on its path."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_help_lists_exactly_what_is_there() -> None:
    shown = {" ".join(node.words) for node in completions.tree() if not node.children}
    modules = {path.stem.replace("_", " ") for path in (ROOT / "commands").glob("*.py") if path.stem != "__init__"}
    assert {name.replace("-", " ") for name in shown} == modules


@pytest.mark.parametrize("node", completions.tree(), ids=lambda node: " ".join(node.words) or "airbrush")
def test_every_help_has_an_example_and_its_listed_line(node: completions.Node) -> None:
    done = shell(f"airbrush {' '.join(node.words)} --help")
    assert done.returncode == 0 and not done.stderr
    if not node.children:
        assert "Example" in done.stdout
        table: object = app.COMMANDS
        for word in node.words:
            table = table[word]  # type: ignore[index]
        assert table in done.stdout


@pytest.mark.parametrize("arguments", ["--help", "--version", "", "nonsense", "preprocess --help", "paint --nonsense"])
def test_help_and_wrong_usage_import_nothing_heavy(arguments: str) -> None:
    code = (
        "import sys; from airbrush_cli import app; status = app.run(sys.argv[1:]); "
        f"print(status, [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments.split()], capture_output=True, text=True, check=True)
    status = 2 if arguments in ("", "nonsense", "paint --nonsense") else 0
    assert done.stderr.splitlines()[-1] == f"{status} []"


def test_version() -> None:
    status, streams = invoke("--version")
    assert (status, streams.out) == (0, f"airbrush {app.__version__}\n")


def test_completions_are_current() -> None:
    for name, text in completions.scripts().items():
        assert (ROOT / "completions" / name).read_text() == text, "run make completions"


def test_the_reference_is_current() -> None:
    assert (ROOT / "docs" / "cli.md").read_text() == reference.reference(), "run make docs"


def test_bash_completion_works() -> None:
    ask = "source completions/airbrush.bash; COMP_WORDS=({}); COMP_CWORD={}; _airbrush; echo ${{COMPREPLY[@]}}"
    assert shell(f"cd {ROOT}; " + ask.format("airbrush g", 1)).stdout.split() == ["gcode"]
    assert shell(f"cd {ROOT}; " + ask.format("airbrush gcode dry", 2)).stdout.split() == ["dryrun"]
    assert shell(f"cd {ROOT}; " + ask.format("airbrush paint --eff", 2)).stdout.split() == ["--effort"]
    assert shell(f"cd {ROOT}; " + ask.format("airbrush paint --effort ''", 3)).stdout.split() == [
        "draft",
        "standard",
        "best",
    ]


@pytest.mark.parametrize("words", ["paint a", "paint --config a"])
def test_bash_completion_keeps_names_with_spaces_whole(words: str, tmp_path: Path) -> None:
    (tmp_path / "a b.png").touch()
    ask = f"COMP_WORDS=(airbrush {words}); COMP_CWORD={len(words.split())}; _airbrush"
    done = shell(f"cd {tmp_path}; source {ROOT}/completions/airbrush.bash; {ask}; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    assert done.stdout.splitlines() == ["a b.png"]


@pytest.mark.parametrize("command", ["preprocess", "paint", "gcode gen", "gcode dryrun"])
@pytest.mark.parametrize(
    ("arguments", "stdin", "status"),
    [
        ("missing", "", 2),
        (".", "", 2),
        ("text.png", "", 2),
        ("empty.png", "", 2),
        ("text.yaml", "", 2),
        ("", "", 2),
        ("", "\n\n", 2),
        ("", "\nmissing\n\nmissing2\n", 2),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_each(
    command: str, arguments: str, stdin: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.yaml").write_text("schema: luts.v1\n")
    before = set(tmp_path.rglob("*"))
    got, streams = invoke(*command.split(), *arguments.split(), stdin=stdin)
    if command == "gcode dryrun" and arguments in ("text.png", "empty.png"):
        assert got in (0, 1)  # bytes of any file are G-code to read, if bad
        return
    assert got == status, streams.err
    assert streams.out == ""
    wanted = max(1, len(stdin.split()))
    assert len(streams.err.splitlines()) == wanted, streams.err
    assert all(line.startswith("error: ") for line in streams.err.splitlines())
    assert set(tmp_path.rglob("*")) == before, "a failed job leaves no file"


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ("paint missing", "missing: no such file or folder"),
        (
            "paint newer.yaml",
            "schema must be job.v1 (found job.v9); another version of airbrush wrote it",
        ),
        ("paint missing --machine missing.yaml", "missing.yaml: no such file, and no such default config; in "),
        ("train ppo --pictures missing --config train_small", "missing: no such folder of pictures"),
        ("preprocess missing --set render_px.w=99999", "render_px.w: must be at most 16384 (found 99999)"),
        ("calibrate build-luts missing", "name the filled-in form that `airbrush calibrate gen` wrote"),
        ("calibrate use missing", "name the folder that `airbrush calibrate build-luts` wrote"),
        ("monitor --play .", "name the folder of one, such as training/runs/NAME"),
        ("train ppo --resume missing", "name the folder of one, such as training/runs/NAME"),
        ("hpo", "name them with --pictures DIR"),
        ("hpo --pictures missing", "missing: no such folder of pictures"),
    ],
)
def test_errors_say_what_to_do(arguments: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "newer.yaml").write_text("schema: job.v9\n")
    status, streams = invoke(*arguments.split())
    assert (status, streams.out, streams.err.count("\n")) == (2, "", 1)
    assert remedy in streams.err
    assert [path.name for path in tmp_path.iterdir()] == ["newer.yaml"]


def test_a_wrong_choice_is_told_what_is_allowed() -> None:
    status, streams = invoke("paint", "--effort", "fast")
    assert status == 2
    assert streams.err.endswith("'--effort': 'fast' is not one of 'draft', 'standard', 'best'.\n")


def test_common_options_stand_before_and_after_the_command(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for arguments in (["--log-file", log, "preprocess", "missing"], ["preprocess", "missing", "--log-file", log]):
        status, streams = invoke("--quiet", *arguments)
        assert status == 2
        assert streams.err.startswith("error: missing: ")
    assert log.read_text().count("ERROR") == 2
    status, streams = invoke("preprocess", "missing", "--json-logs")
    assert streams.err.startswith('{"t": "')
    status, streams = invoke("preprocess", "missing", "--debug")
    assert "Traceback" in streams.err
    status, streams = invoke("preprocess", "missing", "--log-file", tmp_path)
    assert (status, streams.err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("command", "status", "error"),
    [
        ("airbrush preprocess <&-", 2, "error: nothing to do: standard input named no path\n"),
        ("airbrush --version >&-", 0, ""),
        ("airbrush nonsense 2>&-", 2, ""),
        ("airbrush preprocess missing <&- >&- 2>&-", 2, ""),
        ("airbrush --version > /dev/full", 1, "error: standard output: cannot write: No space left on device\n"),
    ],
)
def test_closed_and_full_streams(command: str, status: int, error: str) -> None:
    if "/dev/full" in command and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    done = shell(f"{sys.executable} -m {command}".replace("-m airbrush", "-m airbrush_cli"))
    assert (done.returncode, done.stderr) == (status, error)


def test_ctrl_c_while_the_program_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "main", interrupted)
    with pytest.raises(SystemExit) as ended:
        start()
    assert ended.value.code == 130


def test_names_that_are_not_utf_8_go_through_pipes(tmp_path: Path, examples: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.png")).symlink_to(examples / "dusk.png")
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    airbrush = f"{sys.executable} -m airbrush_cli.app"
    command = (
        f"printf 'caf\\351.png\\n' | {airbrush} preprocess -o $'\\377' --set 'render_px={{w: 57, h: 80}}'"
        f" --log-file log | {airbrush} gcode gen -q && cat $'\\377'/caf/*_manifest.yaml"
    )
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=True)
    manifest, _, text = done.stdout.partition(b"\n")
    assert manifest == b"\xff/caf/caf_manifest.yaml"
    assert "source_image: caf\ufffd.png" in text.decode()


def test_a_closed_pipe_ends_quietly(tmp_path: Path, examples: Path) -> None:
    picture = next(examples.glob("*.png"))
    done = shell(f"set -o pipefail; airbrush preprocess {picture} {picture} -q -o {tmp_path} | true")
    assert done.returncode == 0
    assert done.stderr == ""
