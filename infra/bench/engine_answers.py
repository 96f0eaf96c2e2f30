"""What fake engines answer, in vLLM 0.32's very form, so that routers find what they look for in an answer.

A stream is one HTTP chunk an event, as vLLM writes it. Token ids are there if the request asks for them, as a router
does that means to continue a stream elsewhere should its replica die.
"""

import json

_NAME = '"created":1700000000,"model":"bench"'
_STREAM_START = f'data: {{"id":"chatcmpl-0","object":"chat.completion.chunk",{_NAME},"choices":['
_STREAM_MARKS = (b'"stream":true', b'"stream": true')
_IDS_MARKS = (b'"return_token_ids":true', b'"return_token_ids": true')
_BYTES_PER_TOKEN = 4
_PROMPT_ID = b"10000,"
_PROMPT_IDS = _PROMPT_ID * 20_000
_ANSWER_IDS = 5
_UNARY_CHOICE = {
    "index": 0,
    "message": {
        "role": "assistant",
        "content": "The capital of France is Paris.",
        "refusal": None,
        "annotations": None,
        "audio": None,
        "function_call": None,
        "reasoning": None,
    },
    "logprobs": None,
    "finish_reason": "stop",
    "stop_reason": None,
    "token_ids": None,
}
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_CHUNK = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


def is_stream(body: bytes) -> bool:
    """Whether a request's body asks for a stream."""
    return any(mark in body for mark in _STREAM_MARKS)


def wants_ids(body: bytes) -> bool:
    """Whether it asks for token ids."""
    return any(mark in body for mark in _IDS_MARKS)


def prompt_tokens(body: bytes) -> int:
    """Tokens that the prompt is said to have."""
    return len(body) // _BYTES_PER_TOKEN + 1


def json_answer(answer: object) -> bytes:
    """An answer of 200 with a JSON body."""
    body = json.dumps(answer, separators=(",", ":")).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def unary_template() -> bytes:
    """A whole answer; `%` puts in the prompt's tokens and the tokens of prompt and answer."""
    choice = json.dumps(_UNARY_CHOICE, separators=(",", ":"))
    # Padded with blanks, which are JSON: the length stays the same.
    body = (
        f'{{"id":"chatcmpl-0","object":"chat.completion",{_NAME},"choices":[{choice}],"service_tier":null,'
        f'"system_fingerprint":null,"usage":{{"prompt_tokens":%7d,"total_tokens":%7d,"completion_tokens":{_ANSWER_IDS},'
        '"prompt_tokens_details":null},"prompt_logprobs":null,"prompt_token_ids":null,"prompt_text":null,'
        '"kv_transfer_params":null}'
    )
    length = len(body % (0, 0))
    return f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}".encode()


def chunk(data: bytes) -> bytes:
    """A chunk of an answer in chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def first_chunk(body: bytes, *, ids: bool) -> bytes:
    """The event that names the role, with the prompt's ids if wanted."""
    prompt = b"[%b]" % _PROMPT_IDS[: prompt_tokens(body) * len(_PROMPT_ID) - 1] if ids else b"null"
    start = f'{_STREAM_START}{{"index":0,"delta":{{"role":"assistant","content":""}},"logprobs":null,'.encode()
    return chunk(b'%b"finish_reason":null}],"prompt_token_ids":%b,"prompt_text":null}\n\n' % (start, prompt))


def text_event(content: str, *, ids: bool, last: bool = False) -> str:
    """An event of one token. `content` is not escaped."""
    end = '"stop","stop_reason":null' if last else "null"
    token = "[1234]" if ids else "null"
    choice = (
        f'{{"index":0,"delta":{{"content":"{content}"}},"logprobs":null,"finish_reason":{end},"token_ids":{token}}}'
    )
    return f"{_STREAM_START}{choice}]}}\n\n"
