"""Pieces of messages, texts and images, in the words of each API."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from unmask.api.fields import Body, Int
from unmask.image_files import MEDIA_TYPES, bytes_of_base64, bytes_of_url

KINDS = "|".join(name.removeprefix("image/") for name in MEDIA_TYPES)
Url = Annotated[str, Field(json_schema_extra={"pattern": f"^data:image/({KINDS});base64,"})]
Detail = Literal["auto", "low", "high", "original"]


def _as_url(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


def _no_file(value: Any) -> None:
    if value is not None:
        raise ValueError("must be null, as no files are stored: send image_url as a data: URL")


def _base64(value: Any) -> str:
    if value != "base64":
        raise ValueError("must be base64, as nothing is fetched and no files are stored")
    return "base64"


class ImageBody(Body):
    """An image as it is sent; equal ones have the same file."""

    @property
    def sent(self) -> str:
        """The image's URL, or its file in base64."""
        raise NotImplementedError

    @property
    def num_pixels(self) -> tuple[int | None, int | None]:
        """The fewest and the most pixels that it is scaled to; None is the model's limit."""
        return None, None

    def file(self) -> bytes:
        """The file of the image; raises `InvalidRequest`."""
        return bytes_of_url(self.sent)


class ImageUrl(ImageBody):
    """An image of OpenAI's chats; `detail` has no effect."""

    url: Url
    detail: Detail | None = None

    @property
    def sent(self) -> str:
        return self.url


class LimitedUrl(ImageUrl):
    """An image of OpenAI's chats with the limits that its part has."""

    min_pixels: int | None
    max_pixels: int | None

    @property
    def num_pixels(self) -> tuple[int | None, int | None]:
        return self.min_pixels, self.max_pixels


class ImageSource(ImageBody):
    """An image of Anthropic's messages."""

    type: Annotated[str, PlainValidator(_base64), WithJsonSchema({"const": "base64"})]
    media_type: Annotated[str, Field(json_schema_extra={"enum": [*MEDIA_TYPES]})]
    data: str

    @property
    def sent(self) -> str:
        return self.data

    def file(self) -> bytes:
        return bytes_of_base64(self.data, self.media_type)


class Part(Body):
    """A piece of a message; other kinds than these are refused."""

    type: Literal["text", "image_url"]


class TextPart(Part):
    """A piece of a message that is text."""

    type: Literal["text"]
    text: str

    @classmethod
    def of(cls, text: str) -> "TextPart":
        """The part of a chat with a text of any API."""
        return cls(type="text", text=text)


class ImagePart(Part):
    """A piece of a message that is an image, and Qwen's limits of its pixels."""

    type: Literal["image_url"]
    image_url: Annotated[ImageUrl, BeforeValidator(_as_url, json_schema_input_type=str | ImageUrl)]
    min_pixels: Int | None = None
    max_pixels: Int | None = None

    @property
    def image(self) -> ImageBody:
        """The image, which may be one of another API."""
        if self.min_pixels is None and self.max_pixels is None:
            return self.image_url
        return LimitedUrl.model_construct(
            url=self.image_url.url, min_pixels=self.min_pixels, max_pixels=self.max_pixels
        )

    @classmethod
    def of(cls, image: ImageBody) -> "ImagePart":
        """The part of a chat with an image of any API."""
        return cls.model_construct(type="image_url", image_url=image)


ChatPart = TextPart | ImagePart


def _as_parts(value: Any, text_type: str) -> Any:
    if isinstance(value, str):
        return [{"type": text_type, "text": value}]
    if not isinstance(value, list):
        raise ValueError("must be a string or a list of parts")
    return value


def _as_chat_parts(value: Any) -> Any:
    return None if value is None else _as_parts(value, "text")


def _as_chat_part(value: Any) -> Part:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "text":
        return TextPart.model_validate(value)
    return (ImagePart if kind == "image_url" else Part).model_validate(value)


ChatParts = Annotated[
    tuple[Annotated[ChatPart, PlainValidator(_as_chat_part, json_schema_input_type=ChatPart)], ...]
    | None,
    BeforeValidator(_as_chat_parts, json_schema_input_type=str | tuple[ChatPart, ...] | None),
]
"""Content of a message of a chat."""


class InputPart(Body):
    """A piece of OpenAI's responses; `output_text` is that of an earlier answer."""

    type: Literal["input_text", "output_text", "text", "summary_text", "reasoning_text"]
    text: str
    logprobs: tuple[Any, ...] | None = None


class InputImage(ImageBody):
    """A piece of OpenAI's responses that is an image; `detail` has no effect."""

    type: Literal["input_image"]
    file_id: Annotated[None, BeforeValidator(_no_file)] = None
    image_url: Url
    detail: Detail | None = None

    @property
    def sent(self) -> str:
        return self.image_url


def _as_input_parts(value: Any) -> Any:
    return _as_parts(value, "input_text")


def _as_input_part(value: Any) -> InputPart | InputImage:
    is_image = isinstance(value, dict) and value.get("type") == "input_image"
    return (InputImage if is_image else InputPart).model_validate(value)


InputTexts = Annotated[
    tuple[InputPart, ...],
    BeforeValidator(_as_input_parts, json_schema_input_type=str | tuple[InputPart, ...]),
]
InputParts = Annotated[
    tuple[
        Annotated[
            InputPart | InputImage,
            PlainValidator(_as_input_part, json_schema_input_type=InputPart | InputImage),
        ],
        ...,
    ],
    BeforeValidator(
        _as_input_parts, json_schema_input_type=str | tuple[InputPart | InputImage, ...]
    ),
]
"""Content of an item of OpenAI's responses."""
