"""JSON bodies of requests and answers, as in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"

#: A line of text that a tokenizer may be given.
_Text = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TaskRequest(_Closed):
    """Class names in the order of scores, and a template with {} where the name goes."""

    class_names: list[_Text] = Field(min_length=1, max_length=25_000)
    template: _Text = "a photo of a {}."
    context_words: Annotated[int, Field(ge=1, le=1000)] | None = None


class TaskAnswer(BaseModel):
    """A task as the server reads it."""

    task: str
    class_names: list[str]
    template: str
    context_length: int
    context_width: int
    tokens: dict[str, Any]
    indistinct: list[list[str]]


class Selection(_Closed):
    """Rows of an uploaded image set; norm "raw" keeps the length of their features."""

    of: str = Field(pattern=NAME)
    rows: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, max_length=100_000)
    norm: Literal["unit", "raw"] = "unit"


class ImageSetAnswer(BaseModel):
    """An image set; scores come in the order of ``files``, which are sorted."""

    image_set: str
    images: int
    digest: str
    files: list[str] | None = None


class Templates(_Closed):
    """Templates with {} for the class name; each costs one query."""

    templates: list[_Text] = Field(min_length=1, max_length=1000)


class Scores(BaseModel):
    """Logits by template or context, image and class."""

    scores: list[list[list[float]]]


class TaskFacts(BaseModel):
    """A task that a key may use."""

    class_names: list[str]
    template: str
    context_words: int | None
    context_length: int


class ImageSetFacts(BaseModel):
    """An image set that a key may use."""

    images: int
    digest: str


class ModelAnswer(BaseModel):
    """The model, and the tasks and image sets of the key."""

    name: str
    revision: str
    weights_sha256: str
    image: dict[str, Any]
    embedding_std: float
    context_width: int
    access: list[str]
    makes_tasks: bool
    tasks: dict[str, TaskFacts]
    image_sets: dict[str, ImageSetFacts]
    limits: dict[str, int | float]
    feature_width: int | None = None
    logit_scale: float | None = None


class Amount(BaseModel):
    """Spending from a budget; null is unlimited."""

    spent: int
    budget: int | None
    left: int | None


class Part(BaseModel):
    """Spending for a purpose on an image set."""

    purpose: str
    image_set: str
    queries: int
    scorings: int


class UsageAnswer(BaseModel):
    """The spending of a key."""

    queries: Amount
    scorings: Amount
    images: Amount
    by: list[Part]
    resets: str | None
