"""`/v1/chat/completions`: answers conversations, rendered by the model's chat template."""

from collections.abc import Mapping, Sequence

from unmask.api.backend import Backend
from unmask.api.chat_choices import ChatFormat, MessageSplitter
from unmask.api.choices import ChoiceWriter
from unmask.api.dialect import EncodedPrompts
from unmask.api.images import Images, images_of, read_images
from unmask.api.job import Job
from unmask.api.logprobs import TokenTexts
from unmask.api.message_parts import TextPart
from unmask.api.prompts import check_messages, check_special_tokens, encode_chat, template_options
from unmask.api.reasoning import (
    Thoughts,
    is_inside,
    tags_of_template,
    thoughts_after,
    with_thoughts,
)
from unmask.api.requests import ChatBody
from unmask.api.response_models import ChatCompletion
from unmask.api.sampling_fields import sampling_values
from unmask.api.structured import Structured, structure_of
from unmask.api.tools.calls import CallSplitter
from unmask.api.tools.grammar import ToolUse, offers_tools, tool_use_of
from unmask.errors import InvalidRequest
from unmask.grammar import Grammar, Literal, SpecialToken
from unmask.tokenizer import Tokenizer

END_OF_PROMPT = 16  # tokens that a tag at a prompt's end, and white space after it, take


class ChatDialect:
    """Chat completions, with vLLM's `return_token_ids` and DeepSeek's `reasoning_content`."""

    path = "/v1/chat/completions"
    name = "chat"
    description = "Answer a conversation."
    id_prefix = "chatcmpl"
    default_max_tokens: int | None = None
    body = ChatBody
    answer: type | None = ChatCompletion

    def check(self, body: ChatBody) -> None:
        """Raise `InvalidRequest` for incomplete messages and for contradictory fields."""
        check_messages(body.messages)
        check_special_tokens(body)
        if body.top_logprobs and not body.logprobs:
            raise InvalidRequest("top_logprobs needs logprobs to be true", field="top_logprobs")
        if body.best_of not in (None, body.n or 1):
            raise InvalidRequest(
                f"best_of must equal n, which is {body.n or 1}: candidates are for completions",
                field="best_of",
            )
        limits = {body.max_tokens, body.max_completion_tokens} - {None}
        if len(limits) > 1:
            raise InvalidRequest(
                "max_tokens and max_completion_tokens differ; send one of them", field="max_tokens"
            )
        if body.prompt_logprobs is not None and any(images_of(body.messages)):
            raise InvalidRequest(
                "prompt_logprobs cannot be combined with images", field="prompt_logprobs"
            )
        if offers_tools(body) and body.continue_final_message:
            raise InvalidRequest(
                "continue_final_message cannot be combined with tools",
                field="continue_final_message",
            )

    def field_names(self, body: ChatBody) -> Mapping[str, str]:
        names = {"prompt": "messages", "logprobs": "top_logprobs"}
        if body.max_completion_tokens is not None:
            names["max_tokens"] = "max_completion_tokens"
        if offers_tools(body):
            names["grammar"] = "tools"
        return names

    def num_prompts(self, body: ChatBody) -> int:
        return 1

    def max_tokens(self, body: ChatBody) -> int | None:
        limit = body.max_completion_tokens
        return body.max_tokens if limit is None else limit

    def echoes(self, body: ChatBody) -> bool:
        return False

    def num_logprobs(self, body: ChatBody) -> int | None:
        return (body.top_logprobs or 0) if body.logprobs else None

    def num_prompt_logprobs(self, body: ChatBody) -> int | None:
        return body.prompt_logprobs

    async def encode(
        self, body: ChatBody, backend: Backend, images: Images | None = None
    ) -> EncodedPrompts:
        """Render the chat template, with tools that may be called, and tokenize its text.

        Images are those of the body unless they were read already.
        """
        if images is None:
            images = await read_images(backend, images_of(body.messages))
        use = _tool_use(body, backend.client.tokenizer)
        tools = () if use is None else use.for_template
        chat = await encode_chat(backend, body.messages, template_options(body, tools), images)
        return EncodedPrompts((chat.token_ids,), echoes=("",), images=(chat.images,))

    def structure(
        self, body: ChatBody, prompts: EncodedPrompts, tokenizer: Tokenizer
    ) -> Structured | None:
        """Calls of tools, or text in the format that is asked for, behind thoughts."""

        def tag(text: str) -> Grammar:
            is_token = tokenizer.added_token_id(text) is not None
            return SpecialToken(text) if is_token else Literal(text)

        structured, use = structure_of(body), _tool_use(body, tokenizer)
        without: tuple[str, ...] = ()
        tags = tags_of_template(tokenizer.chat_template)
        if use is not None:
            functions, asked = use.arguments(tag), () if structured is None else (structured,)
            text = None if structured is None else structured.grammar
            given = sampling_values(body)
            goes_on = bool(given.get("ignore_eos") or given.get("min_tokens"))
            grammar = use.grammar(tag, tags, functions, text, goes_on=goes_on)
            structured = Structured(grammar, "tools", parts=(*asked, *functions))
            without = (use.form.opening,)
        if structured is None:
            return None
        (prompt,) = prompts.token_ids
        thoughts = _thoughts(body, prompt, tokenizer)
        if thoughts is Thoughts.POSSIBLE and body.separate_reasoning is False:
            thoughts = Thoughts.NONE  # they would be in the content
        grammar = with_thoughts(structured.grammar, thoughts, tags, tag, without)
        return Structured(grammar, structured.field, structured.parts)

    def writer(
        self, job: Job, body: ChatBody, tokenizer: Tokenizer, texts: TokenTexts
    ) -> ChoiceWriter:
        splitters = [message_splitter(job, body, tokenizer) for _ in job.requests]
        form = ChatFormat(
            job,
            splitters,
            texts,
            has_logprobs=bool(body.logprobs),
            num_read=body.prompt_logprobs,
        )
        return ChoiceWriter(job, form)


def message_splitter(job: Job, body: ChatBody, tokenizer: Tokenizer) -> MessageSplitter:
    """Splits one answer of a job into thoughts, text and calls."""
    use = _tool_use(body, tokenizer)
    has_format = structure_of(body) is not None
    thoughts = _thoughts(body, job.requests[0].prompt_token_ids, tokenizer)
    begun = thoughts is Thoughts.BEGUN
    separates = body.separate_reasoning is not False
    separates &= not (has_format and thoughts is Thoughts.NONE)
    # Strings in a format may spell tags, which free text may not.
    calls = None if use is None else CallSplitter(use.form, follows_text=not has_format)
    return MessageSplitter(
        calls=calls,
        separates_reasoning=separates,
        shows_reasoning=body.include_reasoning is not False,
        begins_inside=begun,
        tags=tags_of_template(tokenizer.chat_template),
    )


def _tool_use(body: ChatBody, tokenizer: Tokenizer) -> ToolUse | None:
    return tool_use_of(body, tokenizer.chat_template)


def _thoughts(body: ChatBody, prompt: Sequence[int], tokenizer: Tokenizer) -> Thoughts:
    """Thoughts with which the answers begin."""
    tags = tags_of_template(tokenizer.chat_template)
    if body.continue_final_message:
        parts = body.messages[-1].content or ()
        text = "\n".join(part.text for part in parts if isinstance(part, TextPart))
        return Thoughts.BEGUN if is_inside(text, tags) else Thoughts.NONE
    end = ""
    for token_id in reversed(prompt[-END_OF_PROMPT:]):
        end = tokenizer.token_text(token_id) + end
        if len(end.rstrip()) >= max(len(tags.beginning), len(tags.closing)):
            break
    return thoughts_after(end, tokenizer.chat_template)


CHAT = ChatDialect()
