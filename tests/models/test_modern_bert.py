"""ModernBERT: every option against transformers' model, its tokenizer, ends and refusals."""

import json
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors
from tokenizers import Tokenizer as FastTokenizer
from torch import Tensor
from transformers import ModernBertConfig, ModernBertForMaskedLM, PreTrainedTokenizerFast

from tests.golden.make.modern_bert import PUBLISHED, SIZES
from tests.support.engines import make_engine, run_all, run_alone
from tests.support.forward import full, logits_of
from tests.support.golden import load_golden
from tests.support.graphs import Recordings, in_turn
from tests.support.lora import draw_pairs, linear_modules, merged, read_weights, write_adapter
from tests.support.tiny import MASK_ID, VOCAB_SIZE
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.grammar import Regex
from unmask.models.config_fields import check_fields
from unmask.models.config_values import check_values
from unmask.models.modern_bert import FIELDS
from unmask.models.registry import LoadedModel, load_model
from unmask.types import Request, SamplingParams
from unmask_kernels import dispatch

CLS_ID, SEP_ID, PAD_ID = 508, 509, 510
# The conversations of dLLM, on which its checkpoints were trained.
CHATS = (
    "{% for m in messages %}{% if m.role == 'user' %}[Question]\n{{ m.content }}\n[/Question]\n\n"
    "{% else %}[Answer]\n{{ m.content }}\n[/Answer]\n\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}[Answer]\n{% endif %}"
)
BASE = {"classifier_pooling": "cls", "num_hidden_layers": 22, "vocab_size": 50368}
MMBERT = {"local_rope_theta": 160000.0, "position_embedding_type": "sans_pos"}
ROPES = {
    "full_attention": {"rope_theta": 500.0, "rope_type": "default"},
    "sliding_attention": {"rope_theta": 77.0, "rope_type": "default"},
}
NEWER = {
    "global_attn_every_n_layers": None,
    "global_rope_theta": None,
    "layer_types": ["sliding_attention", "full_attention", "full_attention", "sliding_attention"],
    "local_rope_theta": None,
    "rope_parameters": ROPES,
}
NO_COUNT = {"global_attn_every_n_layers": None}
BIASES = ("attention_bias", "classifier_bias", "mlp_bias", "norm_bias")
OPTIONS: dict[str, dict[str, Any]] = {
    "biases": dict.fromkeys(BIASES, True),
    "no bias of the head": {"decoder_bias": False},
    "an untied head": {"tie_word_embeddings": False},
    "an untied head without a bias": {"tie_word_embeddings": False, "decoder_bias": False},
    "tanh": dict.fromkeys(("hidden_activation", "classifier_activation"), "gelu_pytorch_tanh"),
    "silu": {"hidden_activation": "silu", "classifier_activation": "gelu"},
    "fields of newer releases": NEWER,
    "defaults": {name: None for name in SIZES if name.startswith(("global", "local", "norm_eps"))},
    "an odd window": {"local_attention": 7},
    "a window of the query alone": {"local_attention": 1},
    "global layers alone": {"global_attn_every_n_layers": 1},
}


def bert_tokenizer(template: str | None = CHATS) -> PreTrainedTokenizerFast:
    """ModernBERT's kind: bytes, a mask that takes the space before it, and [CLS] and [SEP]."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [a + b for a in alphabet[33:60] for b in alphabet[60:80]]
    vocab = {token: i for i, token in enumerate((alphabet + pairs)[:CLS_ID])}
    fast = FastTokenizer(models.BPE(vocab=vocab, merges=[]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    fast.decoder = decoders.ByteLevel()
    mask = AddedToken("[MASK]", special=True, lstrip=True)
    texts = ("[CLS]", "[SEP]", "[PAD]")
    fast.add_special_tokens([*(AddedToken(text, special=True) for text in texts), mask])
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS_ID), ("[SEP]", SEP_ID)]
    )
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=fast, mask_token=mask, **names)
    tokenizer.chat_template = template
    assert tokenizer.mask_token_id == MASK_ID
    return tokenizer


def write(folder: Path, seed: int = 0, **fields: Any) -> ModernBertForMaskedLM:
    """A random checkpoint with changed fields, as transformers has them; null removes one."""
    folder.mkdir(exist_ok=True)
    kept = {name: value for name, value in (SIZES | fields).items() if value is not None}
    own = {"bos_token_id": CLS_ID, "attn_implementation": "eager"}
    model = ModernBertForMaskedLM(ModernBertConfig(**own, **kept))
    model.train(False)
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        drawn = torch.randn(weight.shape, generator=generator)
        is_norm = weight.dim() == 1 and name.endswith("weight")
        scale = 0.3 if weight.dim() == 1 else 1.5 * weight.shape[-1] ** -0.5
        weight.data.copy_(drawn if "embeddings.tok" in name else scale * drawn + is_norm)
    raw = {name: value for name, value in (PUBLISHED | fields).items() if value is not None}
    (folder / "config.json").write_text(json.dumps(raw))
    is_tied = kept.get("tie_word_embeddings", True)
    stored = {
        name: tensor.clone()
        for name, tensor in model.state_dict().items()
        if not (is_tied and name == "decoder.weight")
    }
    save_file(stored, folder / "model.safetensors")
    return model


def load(folder: Path, template: str | None = CHATS, **config: Any) -> LoadedModel:
    bert_tokenizer(template).save_pretrained(folder)
    return load_model(ModelConfig(str(folder), dtype="float32", **config), DecodingConfig())


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_golden("modernbert", tmp_path_factory.mktemp("modernbert"))


@pytest.mark.parametrize("name", OPTIONS)
def test_logits_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    """Sequences end within a window, right at its border and long after it."""
    model, loaded = write(tmp_path, **OPTIONS[name]), load(tmp_path)
    assert (loaded.info.mask_token_id, loaded.info.vocab_size) == (MASK_ID, VOCAB_SIZE)
    generator = torch.Generator().manual_seed(1)
    for num_tokens in (1, 5, 10, 11, 12, 22, 150):
        ids = torch.randint(0, VOCAB_SIZE, (num_tokens,), generator=generator)
        with torch.no_grad():
            expected = model(input_ids=ids[None]).logits[0]
            logits = logits_of(loaded, ids, full(num_tokens))
        assert (logits - expected).abs().max() < 1e-4 * expected.abs().max(), num_tokens


@pytest.mark.parametrize("away", [10, 11])
def test_a_window_ends_at_half_of_its_length_on_either_side(away: int, tmp_path: Path) -> None:
    """Layers that all are local: another token shows up to ten positions away."""
    write(tmp_path, num_hidden_layers=1, layer_types=["sliding_attention"], **NO_COUNT)
    loaded = load(tmp_path)
    ids = torch.arange(60)
    other = ids.clone()
    other[30] = 400
    before, after = (logits_of(loaded, tokens, full(60)) for tokens in (ids, other))
    differs = (before != after).any(-1)
    assert bool(differs[30 - away]) == bool(differs[30 + away]) == (away == 10)


SPOILED: list[tuple[dict[str, Any], str]] = [
    ({"hidden_activation": "relu"}, "hidden_activation"),
    ({"classifier_activation": "gelu_10"}, "classifier_activation"),
    ({"mlp_bias": 1}, "mlp_bias"),
    ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_scaling"),
    ({"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "rope_type"),
    ({"rope_parameters": ROPES}, "rope_theta 77.0 of sliding_attention is not the local_rope"),
    ({"layer_types": ["full_attention"] * 4}, "are not those of global_attn_every_n_layers 3"),
    ({"layer_types": ["full_attention"] * 3, **NO_COUNT}, "do not fit 4 layers"),
    ({"layer_types": ["chunked_attention"] * 4, **NO_COUNT}, "do not fit 4 layers"),
    ({"num_attention_heads": 5}, "32 is not 5 heads of an even size"),
    ({"local_attention": -1}, "local_attention"),
    ({"norm_eps": 2.0}, "norm_eps"),
    ({"head_dim": 16}, "head_dim"),
    ({"norm_bias": True}, r"missing model\.embeddings\.norm\.bias"),
    ({"decoder_bias": False}, r"unexpected decoder\.bias"),
    ({"tie_word_embeddings": False}, r"missing decoder\.weight"),
    ({"architectures": ["ModernBertForSequenceClassification"]}, "is not supported"),
]


@pytest.mark.parametrize(("fields", "message"), SPOILED)
def test_what_is_not_computed_is_refused_by_name(
    fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write(tmp_path)
    raw = {name: value for name, value in (PUBLISHED | fields).items() if value is not None}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with pytest.raises(InvalidCheckpoint, match=message):
        load(tmp_path)


@pytest.mark.parametrize("fields", [BASE, BASE | MMBERT])
def test_published_fields_are_known(fields: dict[str, Any]) -> None:
    raw = PUBLISHED | {"hidden_size": 768, "intermediate_size": 1152, "local_attention": 128}
    check_fields(raw | fields, FIELDS)
    check_values(raw | fields)


def test_prompts_have_the_special_tokens_of_the_sampler(tmp_path: Path) -> None:
    """None: the marks of its template are plain text, and texts begin and end without [CLS]."""
    write(tmp_path)
    tokenizer = load(tmp_path).tokenizer
    reference = bert_tokenizer()
    for text in ("red or [Answer]", "a [MASK] b"):
        expected = reference(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.encode(text, add_special_tokens=True) == expected
    chat = [{"role": "user", "content": "red or green?"}]
    expected = reference.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
    assert tokenizer.apply_chat(chat) == expected
    assert not {CLS_ID, SEP_ID} & set(expected)
    spelled = tokenizer.apply_chat([{"role": "user", "content": "not a [MASK] or [SEP]"}])
    assert not {MASK_ID, SEP_ID} & set(spelled)


def test_an_answer_ends_with_padding_or_at_its_closing_mark(tmp_path: Path) -> None:
    write(tmp_path, eos_token_id=SEP_ID)
    info = load(tmp_path).info
    assert info.eos_token_ids == (SEP_ID, PAD_ID)
    assert info.end_text == "[/Answer]"
    assert load(tmp_path, "{{ messages[0].content }}").info.end_text is None
    assert load(tmp_path, None).info.end_text is None


def test_text_that_ends_answers_is_a_stop_string_that_nobody_asked_for(golden: LoadedModel) -> None:
    asked = SamplingParams(max_tokens=24, stop_token_ids=(300,))
    whole = run_alone(golden, Request("a", (1, 2, 3), asked)).text
    end = whole[3:6]
    cut = whole[: whole.index(end)]
    kept = replace(asked, include_stop_str_in_output=True)
    ending = replace(golden, info=replace(golden.info, end_text=end))
    for params, text, reason in (
        (asked, cut, None),
        (replace(asked, bad_words=("nowhere",)), cut, None),
        (kept, cut, None),
        (replace(asked, stop=(end,)), cut, end),
        (replace(kept, stop=(end,)), cut + end, end),
        (replace(asked, ignore_eos=True), whole, None),
        (replace(asked, grammar=Regex(re.escape(end))), end, None),
    ):
        answer = run_alone(ending, Request("a", (1, 2, 3), params))
        assert answer.finish is not None
        assert (answer.text, answer.finish.stop_reason) == (text, reason)
        assert answer.finish.reason == ("length" if text == whole else "stop")


@pytest.mark.parametrize(
    ("name", "template", "warns"),
    [
        ("ModernBERT-base", None, True),
        ("ModernBERT-base-chat-v0.1", CHATS, False),
        ("modernbert-diffusion-small", None, False),
        ("DiffutronLM-0.3B-Base", None, False),
    ],
)
def test_a_model_that_may_not_have_learnt_to_write_is_served_with_a_warning(
    name: str,
    template: str | None,
    warns: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write(tmp_path / name)
    with caplog.at_level(logging.WARNING):
        loaded = load(tmp_path / name, template)
    found = [message for message in caplog.messages if "was trained by diffusion" in message]
    assert bool(found) == warns
    assert all(message.startswith(name) for message in found)
    answer = run_alone(loaded, Request("a", (1, 2, 3), SamplingParams(max_tokens=4)))
    assert answer.finish is not None


def test_steps_of_both_kinds_of_layers_are_replayed(golden: LoadedModel) -> None:
    forward, short = Recordings(), replace(golden.info, max_model_len=64)
    engine = make_engine(
        replace(golden, info=short),
        graphs=True,
        max_num_seqs=4,
        max_batch_tokens=96,
        recorder=in_turn(forward, Recordings()),
    )
    forward.num_replays = 0
    params = SamplingParams(max_tokens=20, block_length=8, ignore_eos=True)
    requests = [Request(str(n), tuple(range(3, 3 + n)), params) for n in (1, 14, 40)]
    answers = run_all(engine, requests)
    assert forward.num_replays > 0
    for request in requests:
        expected = run_alone(golden, request)
        assert answers[request.request_id].essence == expected.essence


def test_an_adapter_is_merged_and_refused_for_a_tied_embedding(tmp_path: Path) -> None:
    base = tmp_path / "base"
    model, weights = write(base), read_weights(base)
    embedding = "model.embeddings.tok_embeddings"
    modules = [module for module in linear_modules(weights) if module != embedding]
    pairs = draw_pairs(weights, modules)
    model.load_state_dict(merged(weights, pairs), strict=False)
    adapter = str(write_adapter(tmp_path / "adapter", pairs))
    ids = torch.arange(40)
    with torch.no_grad():
        expected = model(input_ids=ids[None]).logits[0]
    logits = logits_of(load(base, adapter=(adapter,)), ids, full(40))
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()
    saved = {f"{embedding}.weight": weights[f"{embedding}.weight"]}
    write_adapter(tmp_path / "adapter", pairs, saved, modules_to_save=["tok_embeddings"])
    with pytest.raises(InvalidCheckpoint, match="is adapted, but it is the LM head too"):
        load(base, adapter=(adapter,))


def test_a_tied_head_with_a_bias_holds_the_embedding_once(tmp_path: Path) -> None:
    write(tmp_path)
    with dispatch.backend("triton"):  # which packs no head
        model = load(tmp_path).model
    held = [*vars(model).values(), model.lm_head.weight]
    tables = [value for value in held if isinstance(value, Tensor) and len(value) == VOCAB_SIZE]
    assert len(tables) == 2
    assert len({table.untyped_storage().data_ptr() for table in tables}) == 1


@pytest.mark.parametrize("quantization", ["int8", "fp8"])
def test_weights_of_few_bits_are_near(quantization: Any, tmp_path: Path) -> None:
    model, loaded = write(tmp_path), load(tmp_path, quantization=quantization)
    ids = torch.arange(40)
    with torch.no_grad():
        expected = model(input_ids=ids[None]).logits[0]
        error = (logits_of(loaded, ids, full(40)) - expected).abs().max()
    assert 0 < error < 0.3 * expected.abs().max()
