"""The golden Nemotron-Labs-Diffusion-VLM with its images and the answers of its reference."""

from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as FastTokenizer
from transformers import PreTrainedTokenizerFast

from tests.support.golden_images import GoldenImages
from tests.support.tiny import MASK_ID
from unmask.image_fits import Lines
from unmask.images import ImageTraits

LINES = Lines(8, 1400)
TRAITS = ImageTraits(18, (18,), (21,), LINES, sees_itself=False, part_type="image_url")
# Tokens 18 to 21, as in the published tokenizer.
TAGS = "<|image_start|>", "<|image_pad|>", "<|image_break|>", "<|image_end|>"
# Images are told by the authors' type of a part alone.
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}"
    "{% if part.type == 'image_url' %}<|image_start|>"
    "{% elif part.type == 'text' %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{{ '<think>\n' if enable_thinking else '<think></think>' }}{% endif %}"
)


def tokenizer(tags: tuple[str, ...]) -> PreTrainedTokenizerFast:
    """Bytes and pairs of them, between them the tags from 18 on, then an end and a mask."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [a + b for a in alphabet[33:60] for b in alphabet[60:80]]
    texts = [*alphabet[:18], *tags, *alphabet[18:], *pairs][: MASK_ID - 1]
    fast = FastTokenizer(models.BPE(vocab={text: i for i, text in enumerate(texts)}, merges=[]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    fast.decoder = decoders.ByteLevel()
    special = (*tags, "<|im_end|>", "<|mask|>", "<|last|>")
    fast.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in special])
    made = PreTrainedTokenizerFast(
        tokenizer_object=fast, eos_token="<|im_end|>", mask_token="<|mask|>"
    )
    made.chat_template = CHAT_TEMPLATE
    assert made.convert_tokens_to_ids("<|mask|>") == MASK_ID
    return made


MODEL = GoldenImages("nemotron_vlm", TRAITS, TAGS, tokenizer)
