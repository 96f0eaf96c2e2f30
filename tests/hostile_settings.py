"""Hostile settings: JSON bombs, configurations that lie or ask for code, tokenizers and chat templates."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.honest_models import VOCAB, tokenizer_json
from tests.hostile_case import Hostile, Spoil, configured, edited, honest, written

_BROKEN_JSON = {
    "nothing in it": b"",
    "half of it": b'{"a": [1, 2',
    "a key twice": b'{"a": 1, "a": 2}',
    "a key twice deep inside": b'{"a": [{"b": {"c": 1, "c": 1}}]}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "a number beyond all numbers": b'{"a": 1e999}',
    "nesting by the million": b"[" * 1_000_000,
    "nesting of 40": b'{"a":' * 40 + b"1" + b"}" * 40,
    "a number of 5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "Latin-1": b'{"a": "caf\xe9"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "single quotes": b"{'a': 1}",
    "something behind it": b'{"a": 1} {"b": 2}',
    "millions of parts": b"[" + b"0," * 2_500_000 + b"0]",
}
_REMOTE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("config.json", {"auto_map": {"AutoModelForCausalLM": "modeling.Evil"}}),
    ("config.json", {"auto_map": "modeling.Evil"}),
    ("config.json", {"vision_config": {"deep": [{"auto_map": {"AutoConfig": "evil--repo.Config"}}]}}),
    ("config.json", {"text_config": {"auto_map": {"AutoConfig": "evil.Config"}}}),
    ("config.json", {"trust_remote_code": True}),
    ("config.json", {"vision_config": {"trust_remote_code": "yes"}}),
    ("config.json", {"custom_pipelines": {"evil": {"impl": "evil.Pipeline"}}}),
    ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}),
    ("tokenizer_config.json", {"init": [[{"trust_remote_code": 1}]]}),
    ("generation_config.json", {"custom_generate": "evil/loop"}),
    ("generation_config.json", {"trust_remote_code": True}),
)
_LIES: tuple[dict[str, Any], ...] = (
    {"architectures": None},
    {"architectures": []},
    {"architectures": "LlamaForCausalLM"},
    {"architectures": [7]},
    {"architectures": ["../../evil"]},
    {"architectures": ["os.system"]},
    {"architectures": ["L" * 500]},
    {"hidden_size": -16},
    {"hidden_size": 0},
    {"hidden_size": "16"},
    {"hidden_size": 16.5},
    {"hidden_size": True},
    {"hidden_size": 2**40},
    {"hidden_size": [16]},
    {"num_hidden_layers": -1},
    {"num_hidden_layers": 10**9},
    {"num_hidden_layers": "2"},
    {"num_attention_heads": 0},
    {"num_attention_heads": 3},
    {"num_attention_heads": 10**6},
    {"num_key_value_heads": 3},
    {"num_key_value_heads": -2},
    {"head_dim": 10**9},
    {"vocab_size": 10**12},
    {"vocab_size": -1},
    {"vocab_size": "many"},
    {"max_position_embeddings": 10**15},
    {"max_position_embeddings": 0},
    {"max_position_embeddings": 1.5},
    {"intermediate_size": -32},
    {"intermediate_size": [32, -32]},
    {"num_key_value_heads": [2, "2"]},
    {"num_experts": 10**7},
    {"rope_theta": -1},
    {"rope_theta": "big"},
    {"rms_norm_eps": 0},
    {"torch_dtype": "pickle"},
    {"torch_dtype": 16},
    {"dtype": {"import": "os"}},
    {"text_config": "evil/repo"},
    {"text_config": {"hidden_size": -1}},
    {"quantization_config": "gptq"},
    {"quantization_config": {}},
    {"quantization_config": {"quant_method": "../evil"}},
    {"quantization_config": {"quant_method": 4}},
    {"sliding_window": -4},
)


def _often(expression: str) -> str:
    return f"{{% for i in range(99) %}}{{% set n.v = {expression} %}}{{% endfor %}}"


_TEMPLATES = {
    "a syntax error": "{% for message in messages %}{{ message }}",
    "an unknown filter": "{{ messages | pickle }}",
    "an unknown tag": "{% system 'id' %}",
    "a refusal of every conversation": "{{ raise_exception('No.') }}",
    "the subclasses of everything": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "a look into globals": "{{ raise_exception.__globals__['__builtins__'] }}",
    "a look through a filter": "{{ ('' | attr('__class__')).mro() }}",
    "a look through format": "{{ '{0.__class__.__init__.__globals__}'.format(messages).foo.bar }}",
    "a change of its input": "{{ messages.append(1) }}",
    "an include": "{% include '/etc/passwd' %}",
    "an import": "{% import 'os' as os %}{{ os.system('id') }}",
    "an extension of a file": "{% extends '/etc/passwd' %}",
    "a loop in loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "a loop that writes": "{% for a in range(99999) %}{% for b in range(99) %}{{ 'abcdefgh' }}{% endfor %}{% endfor %}",
    "a range of billions": "{% for a in range(10**10) %}x{% endfor %}",
    "a text of gigabytes": "{{ 'a' * 10**9 }}",
    "a text of gigabytes the other way round": "{{ 10**9 * 'a' }}",
    "a list of gigabytes": "{{ ([0] * 10**9) | length }}",
    "a text repeated in steps": "{% set a = 'a' * 1000000 %}{% set b = a * 1000000 %}{{ b }}",
    "a power of powers": "{{ 9 ** 9 ** 9 ** 9 }}",
    "a wide format": "{{ '%999999999d' % 1 }}",
    "a wide format by a filter": "{{ '%999999999d' | format(1) }}",
    "a wide format by a method": "{{ '{:>999999999}'.format(1) }}",
    "a width among the arguments": "{{ '{:>{}}'.format(1, 10**9) }}",
    "a padding": "{{ 'a'.ljust(10**9) }}",
    "a centring": "{{ 'a' | center(10**9) }}",
    "an indentation": "{{ 'a\nb' | indent(10**9) }}",
    "an indentation of JSON": "{{ messages | tojson(indent=10**8) }}",
    "a macro that calls itself": "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "a macro that calls itself twice": "{% macro a(n) %}{{ a(n - 1) ~ a(n - 1) if n }}{% endmacro %}{{ a(40) }}",
    "a loop that recurses": "{% for a in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}",
    "a product of factors": "{% set n = namespace(v=3) %}" + _often("n.v * n.v"),
    "brackets by the thousand": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "a sum of thousands": "{{ " + "1+" * 50_000 + "1 }}",
    "nested ifs": "{% if 1 %}" * 400 + "{% endif %}" * 400,
    "half a megabyte of text": "a" * 500_000,
}
_GROWING = {
    "a text that doubles": "{% set n = namespace(v='ab') %}" + _often("n.v ~ n.v"),
    "a list that grows": "{% set n = namespace(v=[1]) %}" + _often("n.v + n.v"),
    "a text that is joined": "{% set n = namespace(v='ab') %}" + _often("[n.v, n.v] | join"),
}


def cases() -> Iterator[Hostile]:
    yield from _json_cases()
    yield from _config_cases()
    yield from _template_cases()
    yield from _tokenizer_cases()


def _json_cases() -> Iterator[Hostile]:
    for place, (what, data) in enumerate(_BROKEN_JSON.items()):
        paths = ("config.json", "generation_config.json", "tokenizer_config.json", "sub/extra.json")
        for path in (paths[0], paths[1 + place % 3]):
            yield Hostile(f"{path} with {what}", "json", path, written(path, data))
    for path, settings in _REMOTE:
        yield Hostile(f"{path} with {json.dumps(settings)}", "remote_code", path, edited(path, **settings))
    foreign = json.dumps([{"idx": 0, "name": "0", "path": "", "type": "custom_st.Transformer"}]).encode()
    yield Hostile("modules of its own", "remote_code", "modules.json", written("modules.json", foreign))
    yield Hostile("a large configuration", "too_large", "config.json", written("config.json", b" " * (9 * 2**20)))

    @honest
    def many(folder: Path) -> None:
        for number in range(40):
            (folder / f"extra{number}.json").write_bytes(b"[" + b"0," * 250_000 + b"0]")

    yield Hostile("forty settings of half a megabyte", "too_large", ".json", many)
    yield Hostile("a large template", "too_large", "chat_template.jinja", written("chat_template.jinja", b" " * 2**19))


def _config_cases() -> Iterator[Hostile]:
    for lie in _LIES:
        yield Hostile(f"a configuration with {json.dumps(lie)[:60]}", "config", "config.json", configured(**lie))
    for value in (b"[]", b'"config"', b"null", b"7"):
        yield Hostile(
            f"a configuration that is {value.decode()}", "config", "config.json", written("config.json", value)
        )

    @honest
    def without(folder: Path) -> None:
        (folder / "config.json").unlink()

    yield Hostile("no configuration", "config", "config.json", without)
    yield Hostile("an empty folder", "config", "config.json", lambda folder: folder.mkdir())
    yield Hostile("a file in place of the folder", "no_folder", "", lambda folder: folder.write_text("x"))
    yield Hostile("nothing in place of the folder", "no_folder", "", lambda folder: None)


def _in_settings(template: Any) -> Spoil:
    return edited("tokenizer_config.json", chat_template=template)


def _template_cases() -> Iterator[Hostile]:
    for place, (what, source) in enumerate((_TEMPLATES | _GROWING).items()):
        path = ("tokenizer_config.json", "chat_template.json", "chat_template.jinja")[place % 3]
        if len(source) > 2**18:
            path = "tokenizer_config.json"
        data = source.encode() if path.endswith(".jinja") else json.dumps({"chat_template": source}).encode()
        yield Hostile(f"a template with {what}", "template", path, written(path, data), needs_limits=what in _GROWING)
    named = [
        {"name": "default", "template": "{{ messages }}"},
        {"name": "tool_use", "template": _TEMPLATES["a loop in loops"]},
    ]
    settings = "tokenizer_config.json"
    yield Hostile("a hostile template for tools", "template", settings, _in_settings(named))
    yield Hostile("a template that is a number", "template", settings, _in_settings(7))
    yield Hostile("templates without names", "template", settings, _in_settings([{"template": "x"}]))
    yield Hostile("templates that are numbers", "template", settings, _in_settings([{"name": "a", "template": 1}]))
    slow = "{% for a in range(999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"
    several = [{"name": str(number), "template": slow} for number in range(8)]
    yield Hostile("eight slow templates", "template", settings, _in_settings(several))
    many = [{"name": str(number), "template": "x"} for number in range(40)]
    yield Hostile("forty templates", "template", settings, _in_settings(many))


def _sequence(kind: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "Sequence", kind: parts}


def _split(expression: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}


def _tokenizer(**changes: Any) -> bytes:
    return json.dumps(json.loads(tokenizer_json()) | changes).encode()


def _tokenizer_cases() -> Iterator[Hostile]:
    name = "tokenizer.json"
    honest_model = json.loads(tokenizer_json())["model"]
    large = {f"t{number}": number for number in range(VOCAB + 40)}
    far = honest_model | {"vocab": honest_model["vocab"] | {"far": 2**31}}
    added = [
        {
            "id": VOCAB + n,
            "content": f"<{n}>",
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for n in range(200)
    ]
    for what, data in {
        "nothing in it": b"",
        "half of it": tokenizer_json().encode()[:900],
        "a list": b"[]",
        "no model": b"{}",
        "an unknown model": _tokenizer(model={"type": "Evil"}),
        "nesting by the million": b"[" * 10**6,
        "a larger vocabulary": _tokenizer(model={"type": "WordLevel", "vocab": large, "unk_token": "t0"}),
        "a token of a far number": _tokenizer(model=far),
        "a negative token": _tokenizer(model=honest_model | {"vocab": {"a": -1}}),
        "merges of unknown tokens": _tokenizer(model=honest_model | {"merges": [["xx", "yy"]]}),
        "an expression that never ends": _tokenizer(pre_tokenizer=_split(r"(.|\s|.)*(?<=Q)\z")),
        "an expression that is none": _tokenizer(pre_tokenizer=_split("(")),
        "no tokens at all": _tokenizer(model={"type": "WordLevel", "vocab": {}, "unk_token": "x"}, added_tokens=[]),
        "hundreds of tokens beyond": _tokenizer(added_tokens=added),
        "text": b"tokenizer",
    }.items():
        yield Hostile(f"a tokenizer with {what}", "tokenizer", name, written(name, data))
    yield from _endless_tokenizers()
    yield from _other_tokenizer_cases()


def _endless_tokenizers() -> Iterator[Hostile]:
    name = "tokenizer.json"
    tenfold = {"type": "Replace", "pattern": {"String": "o"}, "content": "o" * 10}
    for what, data in {
        "a text that grows tenfold and tenfold": _tokenizer(normalizer=_sequence("normalizers", [tenfold] * 9)),
        "an expression that is tried everywhere": _tokenizer(
            normalizer=_sequence("normalizers", [tenfold] * 5),
            pre_tokenizer=_split("o*(?<=Q)"),
        ),
    }.items():
        yield Hostile(f"a tokenizer with {what}", "limit", name, written(name, data), needs_limits=True)


def _other_tokenizer_cases() -> Iterator[Hostile]:
    name = "tokenizer.json"
    yield Hostile("a tokenizer of a gigabyte", "too_large", name, _sparse(name, 2**30))
    yield Hostile("no tokenizer", "tokenizer", name, _instead({}))
    yield Hostile("a vocabulary without merges", "tokenizer", name, _instead({"vocab.json": b'{"a": 0}'}))
    merges = {"merges.txt": b"#version: 0.2\n"}
    for what, data in {"a list": b"[]", "numbers as text": b'{"a": "0"}', "a far number": b'{"a": 999999}'}.items():
        yield Hostile(f"a vocabulary of {what}", "tokenizer", "vocab.json", _instead({"vocab.json": data} | merges))
    yield Hostile("a vocabulary twice", "json", "vocab.json", _instead({"vocab.json": b'{"a": 0, "a": 1}'} | merges))
    yield Hostile("a vocabulary of too many lines", "tokenizer", "vocab.txt", _instead({"vocab.txt": b"a\n" * 999}))
    yield Hostile("an empty vocabulary", "tokenizer", "vocab.txt", _instead({"vocab.txt": b""}))
    piece = b"\x0a\x0a\x0a\x01a\x15\0\0\0\0\x18\x01"
    for what, data in {
        "nothing in it": b"",
        "text": b"sentencepiece",
        "a length beyond its end": b"\x0a\xff\xff\xff\xff\x0f",
        "a number without end": b"\xff" * 40,
        "too many pieces": piece * (VOCAB + 1),
        "half a piece": piece[:5],
        "field 0": b"\x02\x01a",
    }.items():
        spoil = _instead({"tokenizer.model": data})
        yield Hostile(f"a sentencepiece model with {what}", "tokenizer", "tokenizer.model", spoil)


def _sparse(path: str, size: int) -> Spoil:
    @honest
    def spoil(folder: Path) -> None:
        with (folder / path).open("r+b") as file:
            file.truncate(size)

    return spoil


def _instead(files: dict[str, bytes]) -> Spoil:
    """Another tokenizer, or none."""

    @honest
    def spoil(folder: Path) -> None:
        (folder / "tokenizer.json").unlink()
        for path, data in files.items():
            (folder / path).write_bytes(data)

    return spoil
