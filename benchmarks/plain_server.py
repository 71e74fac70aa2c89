"""A plain server to compare with: FastAPI and transformers' pipeline, as tutorials have it.

python benchmarks/plain_server.py MERGED_EXPORT PORT
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline


class Request(BaseModel):
    """One text."""

    text: str


def main() -> None:
    """Serve the folder of `feathertune export --to merged` on a port."""
    folder, port = sys.argv[1:]
    classify = pipeline("text-classification", folder, truncation=True, top_k=None)
    app = FastAPI()

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/predict")
    def predict(request: Request) -> list[dict[str, float | str]]:  # in a thread of FastAPI's pool
        return classify([request.text])[0]

    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error")


if __name__ == "__main__":
    main()
