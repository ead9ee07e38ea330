"""Rules that keep the code readable: short modules and functions, names and docstrings that say something."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_LINES_OF_A_MODULE = 400
MOST_LINES_OF_A_FUNCTION = 50
LONGEST_TEST_NAME = 65
HIDDEN_SUBJECTS = ("What ", "Whatever ", "Whoever ")
"""No docstring begins so: it begins with the noun that it explains, or with a verb."""
VAGUE_VERBS = {"told", "tell", "tells"}
"""No name has such a part: say reported, mailed, shown or distinguished."""
_NOT_OURS = (".", "build", "dist")
SAY_NOTHING = {"found", "told", "one", "thing", "things", "facts", "at_hand", "judge", "judged", "laptop", "life"}
"""No variable, parameter, function or class has such a name: it is called by what it holds or does."""


def modules() -> Iterator[tuple[str, str]]:
    """Path and text of every module of the repository."""
    for folder in sorted(ROOT.iterdir()):
        if not folder.name.startswith(_NOT_OURS):
            for path in sorted(folder.rglob("*.py")) if folder.is_dir() else [folder] * (folder.suffix == ".py"):
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def test_no_module_is_long() -> None:
    lengths = {path: text.count("\n") for path, text in modules()}
    assert len(lengths) > 400
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES_OF_A_MODULE} == {}


def test_no_function_is_long() -> None:
    lengths = {
        f"{path}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, text in modules()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


def names_given(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every variable, parameter, function, class and attribute that code binds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name


def test_no_name_says_nothing() -> None:
    vague = [
        f"{path}:{line}: {name}"
        for path, text in modules()
        for line, name in names_given(ast.parse(text))
        if name.strip("_").lower() in SAY_NOTHING or VAGUE_VERBS & set(name.lower().split("_"))
    ]
    assert vague == []


def test_no_docstring_hides_its_subject() -> None:
    hidden = [
        f"{path}:{node.lineno}: {node.value.value[:60]}"
        for path, text in modules()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node.value.value, str) and node.value.value.startswith(HIDDEN_SUBJECTS)
    ]
    assert hidden == []


def test_no_name_of_a_test_is_long() -> None:
    names = {
        f"{path}: {node.name}": len(node.name)
        for path, text in modules()
        if path.startswith("tests/")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
    assert len(names) > 1000
    assert {name: length for name, length in names.items() if length > LONGEST_TEST_NAME} == {}
