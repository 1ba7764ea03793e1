"""`nearfield search --mode` and `--fusion`: by words, or by both, put together as asked."""

from typing import Any

import pytest

from tests.cli.conftest import Cli


def test_words_find_what_has_them(cli: Cli, books: str) -> None:
    found = cli("search", books, '"red apples"', "--mode", "keyword", "--json").json["hits"]
    assert [hit["id"] for hit in found] == ["b"]
    assert list(found[0]["parts"]) == ["keyword"]


def test_the_fusion_is_the_one_asked_for(cli: Cli, books: str) -> None:
    def search(*more: str) -> list[dict[str, Any]]:
        hits: list[dict[str, Any]] = cli("search", books, "apples moon", "--mode", "hybrid", "--json", *more).json["hits"]
        assert all(set(hit["parts"]) == {"dense", "keyword"} for hit in hits)
        return hits

    assert search() == search("--fusion", "scores:weight=0.6,depth=100")
    words = search("--fusion", "scores:weight=0")
    assert [hit["parts"]["keyword"] for hit in words] == sorted((hit["parts"]["keyword"] for hit in words), reverse=True)
    by_ranks = search("--fusion", "ranks:constant=1,weight=0.5")
    assert by_ranks[0]["score"] <= 0.5


@pytest.mark.parametrize("fusion", ["sums", "scores:weight=much", "scores:size=3", "scores:weight=2", "ranks:depth"])
def test_what_is_no_fusion_is_bad_use(cli: Cli, books: str, fusion: str) -> None:
    said = cli("search", books, "moon", "--mode", "hybrid", "--fusion", fusion)
    assert said.code == 2
    assert "fusion" in said.err
