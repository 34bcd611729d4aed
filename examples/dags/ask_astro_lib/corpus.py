"""Reads the documentation that comes with an installed Airflow, as passages that can be searched and quoted.

Three sources: the configuration reference (`config.yml` and the `config` of the providers), the docstrings of what a
DAG author imports (`airflow.sdk`, operators, sensors, decorators, hooks, notifiers, bundles), and the commands of the
`airflow` command line. Python files are parsed, never imported: reading them runs nobody's code and needs none of
their dependencies.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import yaml

# The providers that `apache-airflow` itself depends on. Reading every installed provider would make the time to parse
# the DAG file grow with the size of the installation (the Google provider alone has hundreds of modules).
PROVIDERS = ("standard", "common/io", "common/sql", "smtp")
PROVIDER_FOLDERS = ("operators", "sensors", "decorators", "hooks", "notifications")

MAX_PASSAGE = 700  # characters; a longer docstring is cut into several passages at its paragraphs


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of documentation that answers one thing: an option, a class, a parameter, a command."""

    name: str
    title: str
    location: str
    text: str
    hint: str
    """How to use what the passage describes, in one sentence, such as the name of the environment variable."""
    is_detail: bool = False
    """True for a parameter, an exception and the later paragraphs of a docstring: a question is seldom about those."""


def read_passages() -> tuple[Passage, ...]:
    """All passages, in a stable order. Raises `FileNotFoundError` if no Airflow is installed."""
    root = _airflow_folder()
    readers = (_configuration, _sdk, _providers, _bundles, _command_line)
    return tuple(passage for read in readers for passage in read(root) if passage.text)


def plain(rest: str) -> str:
    """reStructuredText as plain text: paragraphs stay, roles, links, literals and directives lose their markup."""
    # A literal block (code, a table) says nothing as a sentence: it goes with the indented lines that belong to it.
    literal = r"(?m)^([ \t]*)\.\. (?:code-block|code|list-table|image)::.*(?:\n(?:\1[ \t]+.*|[ \t]*))*\n?"
    text = re.sub(literal, "\n", rest)
    text = re.sub(r"(?m)^([ \t]*)\.\. (?:seealso|versionadded|versionchanged|_).*(?:\n\1[ \t]+.*)*", "", text)
    text = re.sub(r"(?m)^[ \t]*\.\. [a-z]+::[ \t]*", "", text)
    text = re.sub(r"(?m)^([ \t]*)(\S.*)::[ \t]*\n(?:[ \t]*\n)+(?:\1[ \t]+.*\n?|[ \t]*\n)*", r"\1\2:\n\n", text)
    text = re.sub(r":[a-z:]+:`([^`<]+?)\s*<[^`>]*>`|`([^`<]+?)\s*<[^`>]*>`__?", r"\1\2", text)
    text = re.sub(r":[a-z:]+:`~?([^`]+)`", lambda role: role[1].rsplit(".", 1)[-1], text)
    text = re.sub(r"\*\*([^*`\n]+)\*\*", r"\1", text)
    text = re.sub(r"`{2,}", "`", text)
    paragraphs = re.split(r"\n[ \t]*\n|(?m:^[ \t]*[*-][ \t]+)", text)  # an item of a list is a paragraph, too
    return "\n\n".join(line for paragraph in paragraphs if (line := " ".join(paragraph.split())))


def _airflow_folder() -> Path:
    spec = PathFinder.find_spec("airflow")
    if spec is None or not spec.origin:
        raise FileNotFoundError("no installed apache-airflow was found, so there is no documentation to read")
    return Path(spec.origin).parent


def _configuration(root: Path) -> Iterator[Passage]:
    # The base loader leaves every value a string, which is all that is needed here, and takes half the time.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    yield from _options(yaml.load((root / "config_templates/config.yml").read_text(encoding="utf-8"), Loader=loader))
    for provider in PROVIDERS:
        yield from _options(_provider_info(root, provider).get("config", {}))


def _options(sections: Mapping[str, Any]) -> Iterator[Passage]:
    for section, content in sections.items():
        for name, option in content["options"].items():
            default = _text(option, "default")
            variable = f"AIRFLOW__{section.upper().replace('.', '_')}__{name.upper()}"
            hint = f"Set it as `{name}` in section `[{section}]` of airflow.cfg, or by the variable {variable}"
            # Some defaults are names of what Airflow puts in when it starts, such as a key that it generates.
            if default and "\n" not in default and not re.fullmatch(r"\{\w+\}", default):
                hint += f"; its default is `{default}`"
            title, text = f"[{section}] {name}", plain(_text(option, "description"))
            yield Passage(name, title, f"airflow.cfg {title}", text, f"{hint}.")


def _text(option: Mapping[str, Any], key: str) -> str:
    value = str(option.get(key) or "").strip()
    return "" if value == "~" else value  # how YAML spells None


def _sdk(root: Path) -> Iterator[Passage]:
    public: dict[str, set[str]] = {}
    for name, module in _lazy_imports(root / "sdk/__init__.py").items():
        public.setdefault(module.lstrip(".").replace(".", "/"), set()).add(name)
    for module, names in public.items():
        if not module.startswith(("bases/", "definitions/")):
            continue  # generated models and the runtime: large, and without words for a DAG author
        path = root / "sdk" / f"{module}.py"
        path = path if path.exists() else root / "sdk" / module / "__init__.py"
        yield from _module(path, {name: ("airflow.sdk", name) for name in names})
    yield from _module(root / "sdk/exceptions.py", "airflow.sdk.exceptions")


def _providers(root: Path) -> Iterator[Passage]:
    for provider in PROVIDERS:
        base = f"airflow.providers.{provider.replace('/', '.')}"
        decorators = {
            decorator["class-name"].rsplit(".", 1)[-1]: ("airflow.sdk", f"@task.{decorator['name']}")
            for decorator in _provider_info(root, provider).get("task-decorators", ())
        }
        for folder in PROVIDER_FOLDERS:
            for path in sorted((root / "providers" / provider / folder).glob("*.py")):
                yield from _module(path, decorators if folder == "decorators" else f"{base}.{folder}.{path.stem}")


def _bundles(root: Path) -> Iterator[Passage]:
    for name in ("base", "local"):
        yield from _module(root / f"dag_processing/bundles/{name}.py", f"airflow.dag_processing.bundles.{name}")


def _command_line(root: Path) -> Iterator[Passage]:
    groups: dict[str, list[ast.Call]] = {}
    top: list[ast.Call] = []
    for node in ast.parse((root / "cli/cli_config.py").read_text(encoding="utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, (ast.Tuple, ast.List)):
            calls = [call for call in value.elts if isinstance(call, ast.Call)]
            groups[target.id] = calls
            top += calls if target.id == "core_commands" else []
    for call in top:
        about = _literals(call)
        members = {word.arg: word.value for word in call.keywords}.get("subcommands")
        for inner in groups.get(members.id, ()) if isinstance(members, ast.Name) else (call,):
            detail = _literals(inner)
            name = about["name"] if inner is call else f"{about['name']} {detail['name']}"
            text = plain(f"{detail['help'].strip().rstrip('.')}. {detail.get('description', '')}")
            hint = f"Run `airflow {name} --help` for its arguments."
            yield Passage(name, f"airflow {name} (command line)", f"command line: airflow {name}", text, hint)


def _module(path: Path, public: str | Mapping[str, tuple[str, str]]) -> Iterator[Passage]:
    """The documented names of one file: its classes, of the module `public`, or only {name: (module, title)} of it."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef)) or not (docstring := ast.get_docstring(node)):
            continue
        if isinstance(public, str):
            module, title = public, node.name
            if isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
        elif node.name in public:
            module, title = public[node.name]
        else:
            continue
        yield from _docstring(docstring, module, title)


def _docstring(docstring: str, module: str, title: str) -> Iterator[Passage]:
    location = f"{module}.{title.removeprefix('@')}"
    about, *parameters = re.split(r"(?m)^:param\s+", docstring)
    hint = f"Use it as `{title}`." if title.startswith("@") else f"Import it by `from {module} import {title}`."
    is_exception = about.startswith(("Raise", "Signal"))
    for number, chunk in enumerate(_chunks(plain(about))):
        yield Passage(title, title, location, chunk, hint, is_detail=number > 0 or is_exception)
    for parameter in parameters if not is_exception else ():
        declared, _, text = parameter.partition(":")
        name = declared.split()[-1] if declared.split() else ""
        text = plain(re.split(r"(?m)^(?::\w|\.\. )", text)[0])
        shown, where = f"{title}({name}=...)", f"{location}, parameter {name}"
        yield Passage(name, shown, where, text, f"It is the parameter `{name}` of `{title}`.", is_detail=True)


def _chunks(text: str) -> Iterator[str]:
    chunk = ""
    for paragraph in text.split("\n\n"):
        if chunk and len(chunk) + len(paragraph) > MAX_PASSAGE:
            yield chunk
            chunk = ""
        chunk = f"{chunk}\n\n{paragraph}".strip()
    yield chunk


def _provider_info(root: Path, provider: str) -> dict[str, Any]:
    path = root / "providers" / provider / "get_provider_info.py"
    if not path.exists():
        return {}
    returned = next(
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Return)
    )
    info: dict[str, Any] = ast.literal_eval(returned.value or ast.Dict([], []))
    return info


def _lazy_imports(path: Path) -> dict[str, str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        target = getattr(node, "target", None)
        if isinstance(node, ast.AnnAssign) and isinstance(target, ast.Name) and target.id == "__lazy_imports":
            names: dict[str, str] = ast.literal_eval(node.value or ast.Dict([], []))
            return names
    return {}


def _literals(call: ast.Call) -> dict[str, str]:
    """The keyword arguments of a call that are written as plain strings."""
    return {
        word.arg: word.value.value
        for word in call.keywords
        if word.arg and isinstance(word.value, ast.Constant) and isinstance(word.value.value, str)
    }
