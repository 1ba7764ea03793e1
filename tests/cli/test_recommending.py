"""The verb recommend, and the options of search that it shares."""

from tests.cli.conftest import Cli


def ids(found: dict) -> list[str]:
    return [hit["id"] for hit in found["hits"]]


def test_recommend_by_documents_and_texts(cli: Cli, books: str) -> None:
    assert ids(cli("recommend", books, "--like", "b", "-k", 1, "--json").json) == ["c"]
    found = cli("recommend", books, "--like-text", "apples", "--unlike", "c", "--strategy", "best", "--json").json
    assert ids(found)[0] == "b"
    assert "c" not in ids(found)
    shown = cli("recommend", books, "--like", "a", "--exclude", "b", "--exclude", "c")
    assert shown.code == 0
    assert "the moon" in shown.out
    assert "apples" not in shown.out


def test_bad_examples_are_bad_use_and_missing_ones_are_no(cli: Cli, books: str) -> None:
    for arguments, code, words in [
        ((), 2, "liked"),
        (("--like", "a", "--unlike", "a"), 2, "liked and disliked"),
        (("--like", "a", "--strategy", "worst"), 2, "average"),
        (("--like", "zz"), 1, "no document has this id"),
    ]:
        done = cli("recommend", books, *arguments)
        assert (done.code, done.out) == (code, "")
        assert words in done.err


def test_groups_are_shown_as_groups(cli: Cli, books: str) -> None:
    found = cli("search", books, "moon", "--group-by", "tags", "--group-size", 2, "-k", 3, "--json").json
    assert found["groups"][1]["value"] in ("sea", None)
    assert [i for group in found["groups"] for i in group["ids"]] == ids(found)
    assert "group" in cli("search", books, "moon", "--group-by", "tags").out.splitlines()[0]


def test_pages_go_on(cli: Cli, books: str) -> None:
    first = cli("search", books, "moon", "-k", 2, "--pages", "--json").json
    second = cli("search", books, "moon", "-k", 2, "--after", first["next"], "--json").json
    assert ids(first) + ids(second) == ids(cli("search", books, "moon", "--json").json)
    said = cli("search", books, "moon", "-k", 2, "--pages")
    assert f"next page: --after {first['next']}" in said.err
    assert cli("search", books, "sun", "-k", 2, "--after", first["next"]).code == 2


def test_thresholds_and_rerankers(cli: Cli, books: str) -> None:
    least = cli("search", books, "moon", "-k", 2, "--json").json["hits"][1]["score"]
    assert len(ids(cli("search", books, "moon", "--all", "--min-score", least - 1e-6, "--json").json)) == 2
    found = cli("search", books, "the moon", "--rerank", "overlap", "-k", 2, "--plan", "--json").json
    assert ids(found)[0] == "d"
    assert found["plan"]["rerank"]["reranked"] == 4
    assert "reranked 4 of 4 by overlap" in cli("search", books, "the moon", "--rerank", "overlap", "--plan").out
    assert cli("search", books, "moon", "--diversity", 0.5, "-k", 2).code == 0
    refused = cli("search", books, "moon", "--percentiles")
    assert refused.code == 2
    assert "too few documents" in refused.err
