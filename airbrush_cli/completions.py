"""Static completion scripts for bash, zsh and fish, written from the command tree by `make completions`."""

from __future__ import annotations

import shlex
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airbrush_cli import app, files


@dataclass(frozen=True)
class Option:
    """One option as a shell needs to know it."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Node:
    """One command or group: the words that lead to it, what follows."""

    words: tuple[str, ...]
    options: tuple[Option, ...]
    children: tuple[tuple[str, str], ...]  # (name, help)


def tree() -> list[Node]:
    """Return every command and group that is shown, the root first."""
    return list(_walk(app.root(), ()))


def _walk(command: Any, words: tuple[str, ...]) -> Iterator[Node]:
    children: list[tuple[str, str]] = []
    below: list[Node] = []
    if isinstance(command, app.LazyGroup):
        for name in command.list_commands(None):
            child = command.get_command(None, name)
            children.append((name, (child.help or "").split("\n")[0]))
            below += _walk(child, (*words, name))
    options = [Option(("--help",), "Show this message and exit.", False, ())]
    for param in command.params:
        if param.param_type_name == "option" and param.name != "help" and not param.hidden:
            names = (*param.opts, *param.secondary_opts)
            options.append(Option(names, param.help or "", not param.is_flag and not param.count, _choices(param)))
    yield Node(words, tuple(options), tuple(children))
    yield from below


def _choices(param: Any) -> tuple[str, ...]:
    """Return the values that an option allows: those of the Literal that its annotation holds."""
    annotation = param.type_descriptor.annotation
    for inner in (annotation, *typing.get_args(annotation)):
        if typing.get_origin(inner) is typing.Literal:
            return typing.get_args(inner)
    return ()


def bash(nodes: list[Node]) -> str:
    """Return the script for bash."""
    words, values = [], []
    for node in nodes:
        path = " ".join(("airbrush", *node.words))
        names = [name for option in node.options for name in option.names]
        words.append(f'    "{path}") words="{" ".join([child for child, _ in node.children] + names)}" ;;')
        for option in node.options:
            if option.takes_value:
                pattern = "|".join(f'"{path} {name}"' for name in option.names)
                values.append(f'    {pattern}) choices="{" ".join(option.choices)}" takes=1 ;;')
    groups = " ".join(f'"{" ".join(("airbrush", *node.words))}"' for node in nodes if node.children)
    return f"""# bash completion for airbrush; written by `make completions`
_airbrush() {{
  local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}" path="airbrush"
  local words="" choices="" takes="" index word groups=({groups})
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="${{COMP_WORDS[index]}}"
    [[ $word == -* ]] && continue
    [[ " ${{groups[*]}} " == *" $path "* ]] || break
    path="$path $word"
  done
  case "$path $prev" in
{chr(10).join(values)}
  esac
  if [[ -n $choices ]]; then COMPREPLY=($(compgen -W "$choices" -- "$cur")); return; fi
  if [[ -n $takes ]]; then local IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$cur")); return; fi
  case "$path" in
{chr(10).join(words)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  local IFS=$'\\n'
  [[ $cur != -* ]] && COMPREPLY+=($(compgen -f -- "$cur"))
}}
complete -o filenames -F _airbrush airbrush
"""


def zsh(nodes: list[Node]) -> str:
    """Return the script for zsh."""
    functions = []
    for node in nodes:
        specs = []
        for option in node.options:
            about = option.help.replace("[", "(").replace("]", ")").replace(":", " -").replace("'", "’")
            value = ""
            if option.takes_value:
                value = f":value:({' '.join(option.choices)})" if option.choices else ":value:_files"
            specs += [f"    '{name}[{about}]{value}'" for name in option.names]
        function = "_".join(("_airbrush", *node.words)).replace("-", "_")
        if node.children:
            listed = "\n".join(f"    {shlex.quote(f'{name}:{about}')}" for name, about in node.children)
            cases = "\n".join(f"    {name}) {function}_{name.replace('-', '_')} ;;" for name, _ in node.children)
            body = (
                "  local -a commands\n  local state\n"
                f"  commands=(\n{listed}\n  )\n"
                "  _arguments -C \\\n" + " \\\n".join(specs) + " \\\n    '1: :->command' '*:: :->rest'\n"
                "  case $state in\n  command) _describe command commands ;;\n"
                f"  rest) case $words[1] in\n{cases}\n    esac ;;\n  esac\n"
            )
        else:
            body = "  _arguments \\\n" + " \\\n".join(specs) + " \\\n    '*:file:_files'\n"
        functions.append(f"{function}() {{\n{body}}}\n")
    return (
        "#compdef airbrush\n# zsh completion for airbrush; written by `make completions`\n"
        + "\n".join(functions)
        + ('\nif [[ $funcstack[1] == _airbrush ]]; then _airbrush "$@"; else compdef _airbrush airbrush; fi\n')
    )


def fish(nodes: list[Node]) -> str:
    """Return the script for fish."""
    lines = ["# fish completion for airbrush; written by `make completions`"]
    for node in nodes:
        seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in node.words)
        names = " ".join(name for name, _ in node.children)
        here = seen or "__fish_use_subcommand"
        if node.words and node.children:
            here = f"{seen}; and not __fish_seen_subcommand_from {names}"
        for name, about in node.children:
            lines.append(f"complete -c airbrush -n '{here}' -f -a {name} -d {shlex.quote(about)}")
        for option in node.options:
            flags = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            value = (
                f" -x -a {shlex.quote(' '.join(option.choices))}"
                if option.choices
                else " -r"
                if option.takes_value
                else ""
            )
            lines.append(f"complete -c airbrush -n '{here}' {flags}{value} -d {shlex.quote(option.help)}")
    return "\n".join(lines) + "\n"


def scripts() -> dict[str, str]:
    """Return the scripts by file name."""
    nodes = tree()
    return {"airbrush.bash": bash(nodes), "_airbrush": zsh(nodes), "airbrush.fish": fish(nodes)}


if __name__ == "__main__":
    for file_name, text in scripts().items():
        files.write_text(Path(sys.argv[1]) / file_name, text)
