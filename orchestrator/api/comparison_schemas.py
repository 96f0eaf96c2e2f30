"""What differs between two revisions, as the admin API tells it."""

from msgspec import structs
from pydantic import BaseModel, Field

from orchestrator.library.comparison import Comparison


class SettingChangeView(BaseModel):
    key: str = Field(description='`a.b[0].c`; a name that is not plain is quoted: `a["b.c"]`')
    before: str | None = Field(description="As JSON, shortened; null: it was added")
    after: str | None = Field(description="Null: it was removed")


class SettingsChangeView(BaseModel):
    path: str
    changes: list[SettingChangeView]
    more: int = Field(description="Changes that are left out")


class TextChangeView(BaseModel):
    path: str
    lines: list[str] = Field(description="As `diff -u` writes them, without the names of the files")
    more: int = Field(description="Lines that are left out")


class FileChangeView(BaseModel):
    path: str
    before_bytes: int | None = Field(description="Null: it was added")
    after_bytes: int | None = Field(description="Null: it was removed")


class WeightsChangeView(BaseModel):
    """By content: a file under another name is the same."""

    same_files: int
    before_files: int = Field(description="That only the older revision has")
    before_bytes: int
    after_files: int
    after_bytes: int


class ComparisonView(BaseModel):
    before: str = Field(description="Digest")
    after: str = Field(description="Digest")
    equal: bool
    settings: list[SettingsChangeView]
    texts: list[TextChangeView]
    files: list[FileChangeView] = Field(description="Of which no more is said")
    weights: WeightsChangeView


def comparison_view(before: str, after: str, found: Comparison) -> ComparisonView:
    return ComparisonView(
        before=before,
        after=after,
        equal=found.equal,
        settings=[
            SettingsChangeView(
                path=each.path,
                changes=[SettingChangeView(**structs.asdict(change)) for change in each.changes],
                more=each.more,
            )
            for each in found.settings
        ],
        texts=[TextChangeView(path=each.path, lines=list(each.lines), more=each.more) for each in found.texts],
        files=[FileChangeView(**structs.asdict(each)) for each in found.files],
        weights=WeightsChangeView(**structs.asdict(found.weights)),
    )
