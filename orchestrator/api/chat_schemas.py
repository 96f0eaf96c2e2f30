"""Chats and prompt templates on the wire. Inside a chat every field is always there: pages send back what they read."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from orchestrator.api.body import Body
from orchestrator.chat_types import MAX_CHAT_BYTES

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Title = Annotated[str, StringConstraints(max_length=200)]
Image = Annotated[
    str,
    StringConstraints(pattern=r"^data:image/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/=]+$", max_length=MAX_CHAT_BYTES),
]
ModelName = Annotated[str, StringConstraints(max_length=128)]
CategoryName = Literal["writing", "programming", "study", "office"]


class ChatSettingsBody(Body):
    """What is sent with the messages; null leaves it to the model."""

    system_prompt: str
    temperature: float | None = Field(ge=0, le=2)
    top_p: float | None = Field(ge=0, le=1)
    max_tokens: int | None = Field(ge=1)
    context_tokens: int | None = Field(
        ge=1, description="Older turns are left out above it; null: what the model reads"
    )
    stop: list[str] = Field(max_length=4)
    seed: int | None
    stream: bool


class AnswerStatsBody(Body):
    ttft_s: float | None = Field(description="Null when the answer was not streamed")
    duration_s: float
    prompt_tokens: int | None
    completion_tokens: int | None


class AnswerFailureBody(Body):
    status: int
    code: str
    message: str


class MessageBody(Body):
    """One turn. Messages with the same parent are branches."""

    id: Id
    parent: Id | None
    role: Literal["user", "assistant"]
    content: str
    reasoning: str
    images: list[Image] = Field(max_length=8)
    model: ModelName
    revision: str
    finish: Literal["", "complete", "length", "stopped", "failed"] = Field(
        description="Of an answer; empty: unfinished"
    )
    stats: AnswerStatsBody | None
    failure: AnswerFailureBody | None
    created_at: float = Field(description="Unix seconds")


class ChatTextBody(Body):
    messages: list[MessageBody] = Field(max_length=4000, description="All branches, parents before their children")
    leaf: Id | None = Field(description="Last message of the branch that is shown")
    other_model: ModelName | None = Field(description="The model that answers beside the first")
    settings: ChatSettingsBody


class ChatBody(Body):
    version: int = Field(ge=0, description="As it was read; 0 begins a chat")
    title: Title = Field(description="Names a chat that begins; `PATCH` renames it later")
    model: ModelName | None
    text: ChatTextBody


class ChatChange(Body):
    """What is left out stays as it is."""

    title: Title | None = Field(default=None, min_length=1)
    folder: str | None = Field(default=None, max_length=80, description="Empty: in none")
    pinned: bool | None = None


class ChatHeadView(BaseModel):
    id: str
    title: str
    folder: str
    pinned: bool
    model: str | None
    snippet: str = Field(description="How the chat ends; in a search, the place that was found")
    created_at: float
    updated_at: float
    version: int
    size_bytes: int


class ChatView(BaseModel):
    head: ChatHeadView
    text: ChatTextBody


class ImportedMessage(BaseModel):
    """OpenAI's form; fields that others add are passed over."""

    role: str
    content: str | list[dict[str, Any]] | None = None


class ChatImport(BaseModel):
    """A request body of `/v1/chat/completions`, as an export writes it; fields that others add are passed over."""

    title: Title = ""
    model: ModelName | None = None
    messages: list[ImportedMessage] = Field(min_length=1, max_length=4000)


class TemplateBody(Body):
    title: str = Field(min_length=1, max_length=120)
    category: CategoryName
    text: str = Field(min_length=1, max_length=20_000, description="`{{name}}` is a variable")


class TemplateView(BaseModel):
    id: str
    title: str
    category: CategoryName
    text: str
    updated_at: float
