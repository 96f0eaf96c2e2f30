"""Bodies of the upload API."""

from pydantic import BaseModel, Field

from orchestrator.api.body import NAME_PATTERN, Body
from orchestrator.api.model_schemas import UploadSummary


class UploadFileBody(Body):
    path: str = Field(max_length=4096, description="Relative to the model's folder, with `/` between its parts")
    size_bytes: int = Field(ge=0, le=2**50)
    sha256: str = Field(
        default="",
        pattern="^([0-9a-f]{64})?$",
        description="Of the whole file. A file that the library has need not be sent; one that differs is refused",
    )


class UploadBody(Body):
    name: str = Field(pattern=NAME_PATTERN, description="Of the model that this is a revision of")
    files: list[UploadFileBody] = Field(description="All files, or one `.tar`, `.tar.gz` or `.zip` that holds them")
    description: str = Field(default="", max_length=4096)
    notes: str = Field(default="", max_length=4096)


class UploadFileView(BaseModel):
    path: str
    size_bytes: int
    upload_url: str
    offset: int
    present: bool
    """Whole: nothing need be sent."""
    known_size: bool
    """The library has a content of this size: hash the file first, it may not have to be sent."""
    sha256: str
    """Of what is here, once it is whole; else what was declared."""


class UploadView(UploadSummary):
    files: list[UploadFileView]
