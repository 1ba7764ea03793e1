"""What is made of a collection's hits: answers with citations, and a measure of how good the hits are. Part of Collection.

Knows a collection by its searches alone, so that a server's collection has both too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearfield.answering.answer import Answer
    from nearfield.embed.rerank import Reranker
    from nearfield.evaluate.report import Evaluation
    from nearfield.evaluate.run import Judgements, Queries

MODES = ("dense", "keyword", "hybrid")


class Uses:
    """What is made of hits. Who holds it has `name`, `embedder`, `search` and `search_many`."""

    name: str

    def evaluate(
        self,
        queries: Queries,
        qrels: Judgements,
        *,
        modes: Sequence[str] = MODES,
        rerank: str | Reranker | None = None,
        rerank_depth: int = 50,
        k: int = 10,
        depth: int = 100,
        filter: Mapping[str, Any] | None = None,
        fusion: Any = None,
        seed: int = 0,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Evaluation:
        """How good the hits are, judged by people: nDCG, MRR, MAP and Recall of each mode, with confidence intervals.

        As trec_eval has them (see evaluate.metrics); intervals of 95 % by drawing the queries again, and of differences by
        drawing them in pairs. Queries without a relevant document are left out, and counted.

        Args:
            queries: texts by id; or a BEIR file, queries.jsonl.
            qrels: grades by document's id, by query's id; or a BEIR file, qrels/test.tsv, or one in TREC's form.
            modes: of "dense", "keyword" and "hybrid" those to measure.
            rerank: a reranker or its name: every mode is measured once more with it.
            rerank_depth: hits that it reads; what comes after them stays in its order.
            k: where nDCG, MRR, MAP and Recall are cut.
            depth: where Recall is cut besides.
            filter: which documents may be found.
            fusion: how a hybrid search puts both together; a nearfield.Fusion.
            seed: of the intervals.
            progress: called with (the way of searching, queries done, queries in all).

        Returns:
            Evaluation: `table()` for people, `to_dict()`, `difference("hybrid", "dense")`, `per_query("hybrid")`.

        Raises:
            InvalidInput: bad files, named with their line; or no query has a relevant document.
            NotFound: no such file.
        """
        from nearfield.evaluate.run import evaluate
        from nearfield.evaluate.systems import systems

        own: Any = self.fixed() if hasattr(self, "fixed") else self
        ways = systems(
            own, modes, rerank=rerank, rerank_depth=rerank_depth, filter=filter, fusion=fusion,
        )  # fmt: skip
        about = {"collection": self.name, "embedder": own.embedder}
        if rerank is not None:
            about |= {"rerank": rerank if isinstance(rerank, str) else rerank.name, "rerank_depth": rerank_depth}
        return evaluate(ways, queries, qrels, k=k, depth=depth, seed=seed, progress=progress, about=about)

    def ask(
        self,
        question: str,
        *,
        k: int = 5,
        url: str | None = None,
        model: str | None = None,
        mode: str = "hybrid",
        filter: Mapping[str, Any] | None = None,
        rerank: str | Reranker | None = None,
        tokens: int = 3000,
        answer_tokens: int | None = None,
        timeout: float = 120.0,
        on_text: Callable[[str], None] | None = None,
    ) -> Answer:
        """Answers a question from what a search finds, with citations; without a `url`, the passages alone.

        The passages go to `url`, whoever runs it. They are marked as data and the model is told to follow nothing in them; that
        makes it harder for a document to give orders, not impossible: let nothing happen by itself because of an answer.

        Args:
            question: a text.
            k: passages at most.
            url: of an OpenAI-compatible API, such as "http://127.0.0.1:11434/v1"; its key is read from the environment variable
                NEARFIELD_CHAT_API_KEY.
            model: the chat model's name there.
            mode: of the search: "hybrid", "dense" or "keyword".
            filter: which documents may be found.
            rerank: a reranker or its name, to choose the passages.
            tokens: that the passages may take in the prompt, as estimated; long ones are cut.
            answer_tokens: of the answer at most; the server's own limit by default.
            timeout: seconds that the answer may take.
            on_text: called with each piece of the answer as it comes.

        Returns:
            Answer: `text`, `passages`, `citations`, `sources` (the passages it cites) and `unknown` (numbers it cites that no
            passage has). `text` is None without a `url`, and where nothing was found.

        Raises:
            InvalidInput: bad input, or a `url` without a `model`.
            Overloaded, DeadlineExceeded, NearfieldError: the server of the model is busy, slow, or fails.
        """
        from nearfield.answering.answer import ask
        from nearfield.answering.chat import Chat

        chat = None if url is None else Chat.of(url, model, timeout)
        options: dict[str, Any] = {"mode": mode, "filter": filter}
        if rerank is not None:
            options["rerank"] = rerank
        own: Any = self
        return ask(own, question, chat=chat, k=k, tokens=tokens, most=answer_tokens, search=options, on_text=on_text)
