"""One turn of busy.py in this process: prints examples/s."""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Train as the settings say. What is imported first decides how threads wait, as it does for users."""
    settings = json.loads(sys.argv[1])
    if settings["contender"].startswith("peft"):
        import torch  # noqa: F401 - as without Feathertune
    import feathertune  # noqa: F401 - prepares threads where torch is not loaded
    from shapes import SHAPES, read_texts, tokens_of
    from training_turn import take
    from turns import CONTENDERS, Turn

    shape = SHAPES[settings["model"]]
    tokens, _ = tokens_of(shape, read_texts(settings["data"], "train"), None)
    turn = Turn(
        shape=shape,
        contender=CONTENDERS[settings["contender"]],
        texts=tokens,
        batch=32,
        micro_batch=32,
        rank=8,
        dropout=0.1,
        steps=1000,
        seconds=settings["seconds"],
        warm_up=2.0,
        seed=0,
    )
    print(take(turn).examples_per_second)


if __name__ == "__main__":
    main()
