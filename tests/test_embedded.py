"""The embedded model in its own dtype gives the same answers however it is run."""

import pytest

from training.export import DECODING
from training.tokenizer import FOLDER as TOKENIZER
from training.tool_prompt import CHAT_TEMPLATE
from unmask import LLM, SamplingParams
from unmask.config import Config, DecodingConfig, EngineConfig, ModelConfig
from unmask.evaluation.suite import load_suite
from unmask.models.registry import EMBEDDED, load_model
from unmask.templates import Blank

DEFAULT = EngineConfig()
PROBLEMS = load_suite()[::190]  # one of most tasks
GREEDY = SamplingParams(max_tokens=64)
DRAWN = SamplingParams(max_tokens=48, temperature=0.9, top_p=0.95, seed=11)


def answers(
    params: SamplingParams, engine: EngineConfig = DEFAULT, *, one_by_one: bool = False
) -> list[str]:
    conversations = [problem.messages for problem in PROBLEMS]
    with LLM(config=Config(engine=engine)) as llm:
        if one_by_one:
            return [llm.chat([messages], params)[0].text for messages in conversations]
        return [completion.text for completion in llm.chat(conversations, params)]


def test_the_server_decodes_by_all_that_the_training_chose() -> None:
    info = load_model(ModelConfig(), DecodingConfig()).info
    assert {name: getattr(info.default_sampling, name) for name in DECODING} == DECODING


def test_the_server_reads_and_writes_as_in_training() -> None:
    for file in TOKENIZER.iterdir():
        assert (EMBEDDED / file.name).read_bytes() == file.read_bytes()
    assert (TOKENIZER / "chat_template.jinja").read_text(encoding="utf-8") == CHAT_TEMPLATE


@pytest.mark.exhaustive
@pytest.mark.parametrize("params", [GREEDY, DRAWN], ids=["greedy", "drawn"])
def test_answers_do_not_depend_on_company_cache_or_chunks(params: SamplingParams) -> None:
    together = answers(params)
    assert answers(params, one_by_one=True) == together
    assert answers(params, EngineConfig(prefix_cache=False, max_num_seqs=5)) == together
    assert answers(params, EngineConfig(max_batch_tokens=64, num_pages=24)) == together


def test_a_hole_is_filled_with_what_the_text_behind_it_asks_for() -> None:
    opening, prompt = "SELECT * FROM", "<|user|>Write SQL.<|end|><|assistant|>"
    conditions = [" WHERE users.id = 3;", " WHERE cars.id = 3;"]
    templates = [[opening, Blank(1), condition] for condition in conditions]
    with LLM() as llm:
        users, cars, alone = llm.fill([*templates, [opening, Blank(1)]], GREEDY, prompts=prompt)
    assert [one.holes[0].text for one in (users, cars)] == [" users", " cars"]
    assert alone.holes[0].text != " cars"
