import pytest

from orchestrator.library.verification.examine import SILENT
from orchestrator.library.verification.refusal import Refusal
from orchestrator.library.verification.template import check_template, named_templates, special_tokens
from tests.honest_models import TEMPLATE

_LOOP = "{% for message in messages %}"


@pytest.mark.parametrize(
    "source",
    [
        TEMPLATE,
        _LOOP + "{% generation %}{{ message.content }}{% endgeneration %}{% endfor %}",
        _LOOP + "{% if loop.first %}{% continue %}{% endif %}{{ message | tojson(indent=2) }}{% break %}{% endfor %}",
        "{{ strftime_now('%d %b %Y') }}{{ bos_token }}{% if tools %}{{ tools | tojson }}{% endif %}",
        "{% if messages[0].role == 'system' %}{{ raise_exception('No system prompt.') }}{% endif %}{{ messages }}",
        _LOOP + "{% for part in message.content %}{{ part['text'] + ' ' }}{% endfor %}{% endfor %}",
        "{% set ns = namespace(n=0) %}"
        + _LOOP
        + "{% set ns.n = ns.n + 1 %}{{ '%02d: %s' % (ns.n, message.role) }}{% endfor %}",
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ '%02d' % ns.n }}{% endfor %}",
        "{{ '{:>5}|{}'.format(1, messages | length) }}{{ 'a' | center(9) }}{{ 2 ** 10 }}{{ 'x'.ljust(9) }}",
    ],
)
def test_check_template_passes_when_template_is_honest(source: str) -> None:
    check_template("chat_template.jinja", source, {"bos_token": "<s>"}, SILENT)


def test_check_template_lets_a_special_template_refuse_a_plain_conversation() -> None:
    source = "{% if not tools %}{{ raise_exception('Give tools.') }}{% endif %}"
    check_template("f", source, {}, SILENT, strict=False)
    with pytest.raises(Refusal, match="Give tools"):
        check_template("f", source, {}, SILENT)


@pytest.mark.parametrize("source", ["{% for %}", "{{ ''.__class__.mro() }}", "{{ 'a' * 10**9 }}"])
def test_check_template_refuses_a_special_template_when_it_is_hostile(source: str) -> None:
    with pytest.raises(Refusal):
        check_template("f", source, {}, SILENT, strict=False)


def test_named_templates_reads_both_forms() -> None:
    assert named_templates("a") == {"default": "a"}
    assert named_templates([{"name": "default", "template": "a"}, {"name": "rag", "template": "b"}]) == {
        "default": "a", "rag": "b",
    }  # fmt: skip
    assert named_templates([{"name": "default"}]) is None
    assert named_templates(3) is None


def test_special_tokens_reads_texts_and_objects() -> None:
    settings = {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "pad_token": None, "add_bos_token": True}
    assert special_tokens(settings) == {"bos_token": "<s>", "eos_token": "</s>"}
