"""docs/SERVICE.md says what there is: its tables are made from the code. `python -m tests.serve.test_docs` writes them anew."""

import inspect
import re
from pathlib import Path

import pytest

from nearfield.serve.failures import LIBRARY, PROTOCOL
from nearfield.serve.limits import Limits
from nearfield.serve.openapi import shown
from nearfield.serve.routes import ALL
from nearfield.serve.telemetry import METRICS, exported

PAGE = Path(__file__).parents[2] / "docs" / "SERVICE.md"


def metrics() -> str:
    rows = [f"| `{exported(m)}` | {m.kind} | {', '.join(m.labels) or '-'} | {m.about} |" for m in METRICS]
    return "\n".join(["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |", *rows])


def limits() -> str:
    about = dict(re.findall(r"^ +(\w+): (.*?)(?=^ +\w+: |\Z)", inspect.getdoc(Limits).partition("Attributes:")[2], re.M | re.S))
    rows = []
    for name, value in Limits().to_dict().items():
        rows.append(f"| `{name}` | {value:,} | {' '.join(about[name].split())} |")
    return "\n".join(["| limit | default | of |", "| --- | --- | --- |", *rows])


def errors() -> str:
    found = sorted([*LIBRARY.values(), *PROTOCOL.values()], key=lambda f: (f.status, f.code))
    rows = [f"| `{f.code}` | {f.status} | {f.remedy} |" for f in found]
    return "\n".join(["| code | status | what to do |", "| --- | --- | --- |", *rows])


def routes() -> str:
    rows = [f"| `{r.method} {shown(r.path)}` | {r.right} | {r.about} |" for r in ALL]
    return "\n".join(["| route | key | what it does |", "| --- | --- | --- |", *rows])


TABLES = {"metrics": metrics, "limits": limits, "errors": errors, "routes": routes}


def written(text: str) -> str:
    for name, table in TABLES.items():
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", lambda m, t=table: m[1] + t() + "\n" + m[2], text, flags=re.S
        )
    return text


def test_the_tables_are_of_now() -> None:
    text = PAGE.read_text("utf-8")
    assert written(text) == text, "run: python -m tests.serve.test_docs"


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_there(name: str) -> None:
    assert f"<!-- {name} -->" in PAGE.read_text("utf-8")


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
