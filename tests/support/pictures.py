"""Images to send, and a model whose chat template has a place for each."""

import base64
import io
from dataclasses import replace

from PIL import Image

from tests.api.fake_client import MODEL
from tests.support.tiny import byte_tokenizer
from unmask.image_files import read_image
from unmask.image_fits import Cells
from unmask.images import ImageTraits, Pixels
from unmask.tokenizer import Tokenizer
from unmask.types import ModelInfo

TOKEN = "<|image|>"
# The token is spelled in two pieces, so that only the model's id tells that it is one.
TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}{% if part['type'] == 'image' %}{{ '<|im' + 'age|>' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{ '\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


def picture(width: int = 20, height: int = 10, color: str = "red") -> Image.Image:
    """An image of one color, with a dot."""
    image = Image.new("RGB", (width, height), color)
    image.putpixel((0, 0), (1, 2, 3))
    return image


def png(width: int = 20, height: int = 10, color: str = "red", kind: str = "PNG") -> bytes:
    """A file of `picture`."""
    file = io.BytesIO()
    picture(width, height, color).save(file, kind)
    return file.getvalue()


def in_base64(file: bytes) -> str:
    """A file as bodies have it."""
    return base64.b64encode(file).decode()


def url_of(file: bytes, media_type: str = "image/png") -> str:
    """A file as a data: URL."""
    return f"data:{media_type};base64,{in_base64(file)}"


def image_tokenizer(template: str = TEMPLATE, tags: tuple[str, ...] = ()) -> Tokenizer:
    """Tokenizer with a token for images, which is an added one and not special.

    The model reserves it, and `tags` besides.
    """
    inner = byte_tokenizer(tags=(*tags, TOKEN))
    inner.chat_template = template
    tokenizer = Tokenizer(inner)
    known = inner.get_added_vocab()
    tokenizer.reserve([known[text] for text in (*tags, TOKEN)])
    assert known[TOKEN] == TRAITS.token_id, "it is the last one"
    return tokenizer


def _token_id() -> int:
    token_id = Tokenizer(byte_tokenizer(tags=(TOKEN,))).added_token_id(TOKEN)
    assert token_id is not None, "it was added"
    return token_id


TRAITS = ImageTraits(
    token_id=_token_id(), before=(300, 301), behind=(302,), fit=Cells(8, 6), sees_itself=True
)
MODEL_OF_IMAGES: ModelInfo = replace(MODEL, max_model_len=1024, images=TRAITS)


def pixels(file: bytes) -> Pixels:
    """The file as the model takes it."""
    return read_image(file, TRAITS)


def rows(file: bytes) -> list[int]:
    """Token ids of an image in a prompt."""
    number = pixels(file).num_rows
    return [*TRAITS.before, *[TRAITS.token_id] * number, *TRAITS.behind]
