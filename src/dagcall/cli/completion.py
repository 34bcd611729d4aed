"""Shell completion. The shells' scripts only ask `dagcall __complete WORD...`; what fits is decided here, from the
parser itself, so that it cannot fall behind. No package is needed, in the shell or in Python."""

import argparse
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence

from dagcall.cli.arguments import Commands
from dagcall.cli.exits import Exit
from dagcall.cli.terminal import Terminal
from dagcall.errors import DagcallError

_SCRIPTS = {
    "bash": """\
_dagcall() {
    local IFS=$'\\n'
    COMPREPLY=($(dagcall __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _dagcall dagcall
""",
    "zsh": """\
#compdef dagcall
_dagcall() {
    local -a found
    found=("${(@f)$(dagcall __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    found=(${found:#})
    if (( $#found )); then compadd -a found; else _files; fi
}
compdef _dagcall dagcall
""",
    "fish": """\
complete -c dagcall -a '(dagcall __complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
""",
}


def register(commands: Commands) -> None:
    parser = commands.add(
        "completion",
        "print a shell's completion script",
        (
            'eval "$(dagcall completion bash)"    # in ~/.bashrc',
            "dagcall completion fish > ~/.config/fish/completions/dagcall.fish",
        ),
    )
    parser.add_argument("shell", choices=sorted(_SCRIPTS))
    parser.set_defaults(run=run)


def run(args: Namespace, terminal: Terminal) -> int:
    terminal.line(_SCRIPTS[args.shell].rstrip())
    return Exit.OK


def complete(parser: ArgumentParser, words: Sequence[str], terminal: Terminal) -> int:
    """Print what may stand in place of the last word."""
    *before, current = words or [""]
    for candidate in candidates(parser, before, current, terminal):
        if candidate.startswith(current):
            terminal.line(candidate)
    return Exit.OK


def candidates(parser: ArgumentParser, before: Sequence[str], current: str, terminal: Terminal) -> Iterable[str]:
    """Commands, options, choices, or the served DAGs' ids, whichever belongs after `before`."""
    positionals = 0
    pending: argparse.Action | None = None
    for word in before:
        options = {name: action for action in parser._actions for name in action.option_strings}
        branch = _branch(parser)
        if pending is not None:
            pending = None
        elif word in options:
            pending = options[word] if options[word].nargs is None else None
        elif branch is not None and word in branch:
            parser, positionals = branch[word], 0
        elif not word.startswith("-"):
            positionals += 1
    if pending is not None:
        return _choices(pending)
    if current.startswith("-"):
        return [name for action in parser._actions for name in action.option_strings]
    branch = _branch(parser)
    if branch is not None:
        return list(branch)
    expected = [action for action in parser._actions if not action.option_strings]
    if positionals >= len(expected):
        return []
    action = expected[positionals]
    return _dag_ids(terminal) if action.dest == "dag_id" else _choices(action)


def _branch(parser: ArgumentParser) -> dict[str, ArgumentParser] | None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return None


def _choices(action: argparse.Action) -> list[str]:
    return [str(choice) for choice in action.choices or ()]


def _dag_ids(terminal: Terminal) -> list[str]:
    try:
        with terminal.client(Namespace(url=None)) as client:
            return [str(dag["dag_id"]) for dag in client.dags()]
    except DagcallError:
        return []  # no server: nothing to offer, and a shell is no place to complain
