"""One small application in three toolkits: a body with 384 numbers in, ten documents out."""

from __future__ import annotations

from typing import Any

DOCUMENTS = [
    {
        "id": f"d{i}",
        "score": 1 - i / 100,
        "document": {"id": f"d{i}", "text": "some words of a document " * 5, "metadata": {"n": i}},
    }
    for i in range(10)
]


def starlette_app() -> Any:
    import msgspec
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    class Body(msgspec.Struct, forbid_unknown_fields=True):
        vector: list[float]
        k: int = 10

    decode, encode = msgspec.json.Decoder(Body).decode, msgspec.json.Encoder().encode

    async def search(request: Any) -> Any:
        body = decode(await request.body())
        return Response(encode({"hits": DOCUMENTS[: body.k]}), media_type="application/json")

    return Starlette(routes=[Route("/search", search, methods=["POST"]), Route("/", lambda _: Response("ok"))])


def litestar_app() -> Any:
    import msgspec
    from litestar import Litestar, get, post

    class Body(msgspec.Struct, forbid_unknown_fields=True):
        vector: list[float]
        k: int = 10

    async def search(data: Any) -> dict[str, Any]:
        return {"hits": DOCUMENTS[: data.k]}

    async def root() -> str:
        return "ok"

    search.__annotations__ = {"data": Body, "return": dict[str, Any]}
    root.__annotations__ = {"return": str}
    return Litestar([post("/search")(search), get("/")(root)])


def fastapi_app() -> Any:
    from fastapi import FastAPI
    from pydantic import BaseModel

    app = FastAPI()

    class Body(BaseModel):
        vector: list[float]
        k: int = 10

    class Document(BaseModel):
        id: str
        text: str
        metadata: dict[str, Any]

    class Hit(BaseModel):
        id: str
        score: float
        document: Document

    class Answer(BaseModel):
        hits: list[Hit]

    async def search(body: Any) -> Any:
        return {"hits": DOCUMENTS[: body.k]}

    async def root() -> str:
        return "ok"

    search.__annotations__ = {"body": Body}
    app.post("/search", response_model=Answer)(search)
    app.get("/")(root)
    return app
