"""Training checkpoints: one safetensors file with JSON beside the tensors, no pickle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .extras import requires

with requires("train"):
    import safetensors
    import safetensors.torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Checkpoint", "CheckpointError"]

_KEY = "xnorgrid-checkpoint"


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or of another training; the message says which."""


@dataclass(frozen=True)
class Checkpoint:
    """File of one training's state."""

    path: Path

    def save(self, facts: dict[str, Any], groups: dict[str, dict[str, Tensor]]) -> None:
        """Write JSON-ready ``facts`` and ``groups`` of named tensors; replaces the file at once."""
        tensors = {
            f"{group}/{name}": tensor.contiguous()
            for group, members in groups.items()
            for name, tensor in members.items()
        }
        # A training cut off while writing must not cost the last checkpoint.
        partial = self.path.with_name(self.path.name + ".partial")
        safetensors.torch.save_file(tensors, partial, {_KEY: json.dumps(facts)})
        partial.replace(self.path)

    def load(self) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
        """Return what :meth:`save` was given; raises :class:`CheckpointError`."""
        if not self.path.is_file():
            raise CheckpointError(
                f"there is no checkpoint {self.path}; train without resuming first"
            )
        groups: dict[str, dict[str, Tensor]] = {}
        try:
            with safetensors.safe_open(self.path, framework="pt") as file:
                facts = json.loads((file.metadata() or {})[_KEY])
                # An open file has keys, but is nothing to iterate over.
                for key in file.keys():  # noqa: SIM118
                    group, name = key.split("/")
                    groups.setdefault(group, {})[name] = file.get_tensor(key)
        except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
            raise CheckpointError(
                f"{self.path} is no checkpoint of xnorgrid, or is damaged: {error}; "
                f"delete it and train anew"
            ) from None
        return facts, groups
