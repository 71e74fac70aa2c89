"""The script of texts, and a base that reads it."""

import pytest

from feathertune.data.scripts import base_for, main_script

XLM_R, ROBERTA, QWEN = "FacebookAI/xlm-roberta-base", "FacebookAI/roberta-base", "Qwen/Qwen3-0.6B-Base"


@pytest.mark.parametrize(
    ("texts", "script", "base"),
    [
        (["送餐太慢了0", "这家店的菜很好吃1"], "CJK", XLM_R),
        (["この店はとても美味しい"], "HIRAGANA", XLM_R),
        (["배송이 너무 늦어요"], "HANGUL", XLM_R),
        (["очень вкусно, спасибо", "see http://example.com"], "CYRILLIC", XLM_R),
        (["خدمة ممتازة"], "ARABIC", XLM_R),
        (["बहुत अच्छा"], "DEVANAGARI", XLM_R),
        (["how do magnets work ?", "Zürich is nice, 東"], "LATIN", ROBERTA),
        (["😀😀 !!", "123"], None, QWEN),
        (["ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ"], "CHEROKEE", QWEN),
        ([], None, QWEN),
    ],
)
def test_a_script_and_a_base_that_reads_it(texts: list[str], script: str | None, base: str) -> None:
    assert main_script(texts) == script
    assert base_for(script, "package:minilm/model") == base


def test_the_base_itself_is_not_proposed() -> None:
    assert base_for("CJK", XLM_R) == QWEN
    assert base_for("CJK", "/models/xlm-roberta-base/") == QWEN
    assert base_for("LATIN", ROBERTA) == XLM_R
