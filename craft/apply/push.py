"""Upload a tuned model to a model hub."""

from __future__ import annotations

from pathlib import Path

from craft.apply.tuned_model import TunedModel


def push(folder: Path, repository: str) -> str:
    """Upload the folder of a tuned model as ``OWNER/NAME`` and return its address.

    A new repository is private. huggingface_hub chooses the hub and finds the user's token.
    Raises RecordError for a folder without a tuned model.
    """
    from huggingface_hub import HfApi

    TunedModel.read(folder)
    hub = HfApi()
    hub.create_repo(repository, private=True, exist_ok=True)
    done = hub.upload_folder(
        repo_id=repository, folder_path=folder, commit_message="Upload a model tuned with craft"
    )
    return str(done.repo_url)
