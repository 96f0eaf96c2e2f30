"""Going on with a lost stream on another replica: which requests allow it, and what to ask the next replica. PURE.

A continuation asks `/v1/completions` for what comes after the first prompt's tokens and the answer's tokens so far.
So a request is eligible if its text depends on nothing but those tokens and on settings that `/v1/completions` takes
with the same meaning. Whatever is not named here is not eligible: a field that nobody has thought about must not
change an answer in its middle.

The fields are those of vLLM's `ChatCompletionRequest` and `CompletionRequest`. What only shapes the prompt is not
carried along: its effect is in the prompt's token ids.
"""

import re
from operator import attrgetter
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from router.sent_tokens import SentTokens
from router.sse import MALFORMED, StreamForm

LONGEST_BODY_BYTES = 1024 * 1024
"""A longer prompt's ids are not worth keeping for as long as its answer takes."""
_CHAT = b"/v1/chat/completions"
_COMPLETIONS = b"/v1/completions"
_DEFAULT_COMPLETION_TOKENS = 16
"""What `/v1/completions` takes for a missing `max_tokens`."""
_ABSENT = Raw()


class Continuable(StreamForm, frozen=True, kw_only=True):
    """What of an eligible request its continuation needs."""

    members: bytes
    """JSON members that `/v1/completions` gets as the client sent them, between commas."""
    max_tokens: int | None
    min_tokens: int


class Ineligible(Struct, frozen=True):
    """`reason`: `path`, `too_long`, `field` (one that is not known here, or not with this value), `not_streamed`,
    `setting` (one that an answer cannot be cut under), `content` (not one text)."""

    reason: str


class Resume(Struct, frozen=True):
    """Send this to another replica, and its events through the same `SentTokens`."""

    body: bytes
    path: bytes = _COMPLETIONS


class Finish(Struct, frozen=True):
    """Nothing is left to generate: write these events and end the stream as a whole one."""

    events: bytes


class GiveUp(Struct, frozen=True):
    """`reason`: `nothing_sent` (send the request itself again), `no_prompt_ids`, `unknown_context`, or that of
    `SentTokens.untraceable`."""

    reason: str


class _StreamOptions(Struct, forbid_unknown_fields=True, omit_defaults=True):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class _TextFormat(Struct, forbid_unknown_fields=True):
    type: Literal["text"]


class _Part(Struct, forbid_unknown_fields=True):
    type: Literal["text"]
    text: Raw
    cache_control: Raw = _ABSENT


class _Message(Struct):
    content: Raw = _ABSENT


class _Request(Struct, forbid_unknown_fields=True):
    """The fields that both APIs have."""

    model: Raw
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    min_tokens: int | None = None
    return_token_ids: bool | UnsetType | None = UNSET
    # Carried along as they stand. That a repetition penalty counts prompt and answer alike makes it one of them.
    temperature: Raw = _ABSENT
    top_p: Raw = _ABSENT
    top_k: Raw = _ABSENT
    min_p: Raw = _ABSENT
    repetition_penalty: Raw = _ABSENT
    seed: Raw = _ABSENT
    stop_token_ids: Raw = _ABSENT
    include_stop_str_in_output: Raw = _ABSENT
    ignore_eos: Raw = _ABSENT
    skip_special_tokens: Raw = _ABSENT
    logit_bias: Raw = _ABSENT
    allowed_token_ids: Raw = _ABSENT
    priority: Raw = _ABSENT
    cache_salt: Raw = _ABSENT
    session_id: Raw = _ABSENT
    stream_interval: Raw = _ABSENT
    # Allowed while they say nothing: these count or match what was generated before, and after a cut that is prompt,
    # or they make text lag behind the tokens, or more than one answer.
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: list[str] | str | None = None
    bad_words: list[str] | None = None
    echo: bool | None = None
    use_beam_search: bool | None = None
    n: int | None = None
    best_of: int | None = None
    spaces_between_special_tokens: bool | None = None
    response_format: _TextFormat | None = None
    structured_outputs: None = None
    prompt_logprobs: None = None
    truncate_prompt_tokens: None = None
    thinking_token_budget: None = None
    repetition_detection: None = None
    watermarking: None = None
    kv_transfer_params: None = None
    ec_transfer_params: None = None
    vllm_xargs: None = None
    # Of no effect on the answer, or only through the prompt.
    add_special_tokens: Raw = _ABSENT
    request_id: Raw = _ABSENT
    user: Raw = _ABSENT
    metadata: Raw = _ABSENT
    store: Raw = _ABSENT
    service_tier: Raw = _ABSENT
    safety_identifier: Raw = _ABSENT
    prompt_cache_key: Raw = _ABSENT


class _ChatRequest(_Request, forbid_unknown_fields=True):
    messages: list[_Message] = msgspec.field(default_factory=list)
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    include_reasoning: bool | None = None
    tools: None = None
    tool_choice: Literal["none"] | None = None
    functions: None = None
    function_call: Literal["none"] | None = None
    # Of no effect on the answer, or only through the prompt.
    parallel_tool_calls: Raw = _ABSENT
    reasoning_effort: Raw = _ABSENT
    add_generation_prompt: Raw = _ABSENT
    continue_final_message: Raw = _ABSENT
    documents: Raw = _ABSENT
    chat_template: Raw = _ABSENT
    chat_template_kwargs: Raw = _ABSENT


class _CompletionRequest(_Request, forbid_unknown_fields=True):
    prompt: Raw = _ABSENT
    logprobs: None = None
    suffix: None = None
    prompt_embeds: None = None


_CARRIED = (
    "model",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "seed",
    "stop_token_ids",
    "include_stop_str_in_output",
    "ignore_eos",
    "skip_special_tokens",
    "logit_bias",
    "allowed_token_ids",
    "priority",
    "cache_salt",
    "session_id",
    "stream_interval",
)
_KEYS = tuple(b'"%b":' % name.encode() for name in _CARRIED)
_carried = attrgetter(*_CARRIED)
_decode_chat = msgspec.json.Decoder(_ChatRequest).decode
_decode_completion = msgspec.json.Decoder(_CompletionRequest).decode
_decode_parts = msgspec.json.Decoder(list[_Part]).decode
_decode_prompts = msgspec.json.Decoder(list[Raw]).decode
_TEXT_OR_IDS = re.compile(rb'"|\[\s*\d')
_PARTS = re.compile(rb'[^"n]')
_PATH, _TOO_LONG, _FIELD = Ineligible("path"), Ineligible("too_long"), Ineligible("field")
_NOT_STREAMED, _SETTING, _CONTENT = Ineligible("not_streamed"), Ineligible("setting"), Ineligible("content")


def eligible(path: bytes, body: bytes | bytearray) -> tuple[Continuable, bytes] | Ineligible:
    """Whether the answer to this request may be continued elsewhere: if so, what to keep of it and the body to send.

    That body is the client's, with `return_token_ids` put in where the client did not ask for ids itself. `path` is
    without a query.
    """
    if path not in (_CHAT, _COMPLETIONS):
        return _PATH
    if len(body) > LONGEST_BODY_BYTES:
        return _TOO_LONG
    try:
        request = _decode_chat(body) if path == _CHAT else _decode_completion(body)
        if not request.stream:
            return _NOT_STREAMED
        if _cannot_be_cut(request):
            return _SETTING
        if not _is_one_text(request):
            return _CONTENT
    except MALFORMED:
        return _FIELD
    wants_token_ids = request.return_token_ids is True
    if not wants_token_ids:
        at = body.index(b"{") + 1
        body = b"".join((body[:at], b'"return_token_ids":true,', body[at:]))
    return _what_to_keep(request, wants_token_ids=wants_token_ids), bytes(body)


def _cannot_be_cut(request: _ChatRequest | _CompletionRequest) -> bool:
    if isinstance(request, _ChatRequest) and (
        request.logprobs or request.top_logprobs or request.include_reasoning is False
    ):
        return True
    return bool(
        request.presence_penalty
        or request.frequency_penalty
        or request.stop
        or request.bad_words
        or request.echo
        or request.use_beam_search
        or (request.n or 1) != 1
        or (request.best_of or 1) != 1
        # The detokenizer then remembers whether the last token was a special one.
        or request.spaces_between_special_tokens is False
        # Sent, but not as true: a second one in the same object would be no valid JSON to everyone.
        or request.return_token_ids in (None, False)
    )


def _is_one_text(request: _ChatRequest | _CompletionRequest) -> bool:
    """The prompt is one, of text or of token ids: what images and sounds stood for is not in its token ids.

    Raises one of `MALFORMED` for what is neither.
    """
    if isinstance(request, _CompletionRequest):
        return _TEXT_OR_IDS.match(request.prompt) is not None or len(_decode_prompts(request.prompt)) == 1
    for message in request.messages:
        if _PARTS.match(message.content):
            _decode_parts(message.content)
    return True


def _what_to_keep(request: _ChatRequest | _CompletionRequest, *, wants_token_ids: bool) -> Continuable:
    members = [b"%b%b" % member for member in zip(_KEYS, _carried(request), strict=True) if member[1]]
    # A penalty of nought overrides what the deployment's generation config may say.
    if request.presence_penalty is not None:
        members.append(b'"presence_penalty":0')
    if request.frequency_penalty is not None:
        members.append(b'"frequency_penalty":0')
    options = request.stream_options
    if options is not None:
        members.append(b'"stream_options":%b' % msgspec.json.encode(options))
    most = request.max_tokens
    if isinstance(request, _ChatRequest):
        most = most if request.max_completion_tokens is None else request.max_completion_tokens
    elif most is None:
        most = _DEFAULT_COMPLETION_TOKENS
    return Continuable(
        chat=isinstance(request, _ChatRequest),
        include_usage=options is not None and options.include_usage is True,
        wants_token_ids=wants_token_ids,
        members=b",".join(members),
        max_tokens=most,
        min_tokens=request.min_tokens or 0,
    )


def continuation_request(
    request: Continuable, sent: SentTokens, context_tokens: int | None
) -> Resume | Finish | GiveUp:
    """What to do about a stream whose replica is lost.

    `context_tokens`: the model's `max_model_len`, for clients that set no limit themselves. After `Resume`, `sent`
    expects the events of the continuation; asked again before any have come, the answer is the same.
    """
    if sent.finish_reason is not None and sent.failed != "diverged":
        if request.include_usage and (sent.prompt_tokens is None or sent.untraceable == "no_token_ids"):
            return GiveUp("no_token_ids")
        return Finish(sent.closing())
    if not sent.began:
        return GiveUp("nothing_sent")
    if sent.untraceable is not None:
        return GiveUp(sent.untraceable)
    ids, prompt_tokens = sent.ids_to_the_cut, sent.prompt_tokens
    if ids is None or prompt_tokens is None:
        return GiveUp("no_prompt_ids")
    limits = [] if request.max_tokens is None else [request.max_tokens]
    if context_tokens is not None:
        limits.append(context_tokens - prompt_tokens)
    if not limits:
        return GiveUp("unknown_context")
    left = min(limits) - sent.kept_tokens
    if left < 1:
        return Finish(sent.closing("length"))
    sent.rewind()
    form = b'{"prompt":[%b],%b,"max_tokens":%d,"min_tokens":%d,"stream":true,"return_token_ids":true}'
    return Resume(form % (ids, request.members, left, max(0, request.min_tokens - sent.kept_tokens)))
