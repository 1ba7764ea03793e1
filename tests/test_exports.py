"""The public door: exactly the names that are promised, sorted, documented, each from its home."""

import ast
import inspect
from pathlib import Path

import pytest

import nearfield


def test_all_is_sorted_and_complete() -> None:
    assert nearfield.__all__ == sorted(nearfield.__all__)
    assert set(nearfield.__all__) == set(nearfield._HOMES)
    assert set(dir(nearfield)) == {*nearfield.__all__, "__version__"}


def test_the_names_for_type_checkers_are_the_same() -> None:
    tree = ast.parse(Path(nearfield.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    named = {alias.asname or alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert named == set(nearfield.__all__)


@pytest.mark.parametrize("name", nearfield.__all__)
def test_each_name_is_there_and_documented(name: str) -> None:
    value = getattr(nearfield, name)
    assert value.__module__ == f"nearfield.{nearfield._HOMES[name]}"
    assert inspect.getdoc(value)


@pytest.mark.parametrize("name", [n for n in nearfield.__all__ if inspect.isclass(getattr(nearfield, n))])
def test_each_public_method_is_documented(name: str) -> None:
    for attribute, value in vars(getattr(nearfield, name)).items():
        if not attribute.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            assert inspect.getdoc(value), f"{name}.{attribute}"


def test_every_error_is_exported() -> None:
    from nearfield.core import errors

    found = {n for n, v in vars(errors).items() if inspect.isclass(v) and issubclass(v, Exception)}
    assert found <= set(nearfield.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="colour"):
        _ = nearfield.colour  # type: ignore[attr-defined]
