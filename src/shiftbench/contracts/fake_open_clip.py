"""open_clip's interface, as far as `models/open_clip.py` uses it, with two small towers: for where there is none."""

import importlib.util
import sys

import torch
from torch import nn

NAMES = ["ViT-B-32", "ViT-B-16", "ViT-L-14", "RN50"]
IMAGENET_CLASSNAMES = [f"name {number}" for number in range(1000)]


class TwoTowers(nn.Module):
    """Images (n, 3, h, w) and token ids (n, 8) to 16 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = nn.Linear(3 * 16, 16)
        self.token_embedding = nn.Embedding(256, 12)
        self.text_projection = nn.Parameter(torch.randn(12, 16))
        self.logit_scale = nn.Parameter(torch.tensor(2.5))

    def encode_image(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.visual(nn.functional.adaptive_avg_pool2d(x, 4).flatten(1))
        return found

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.token_embedding(tokens).mean(1) @ self.text_projection
        return found


def tokenize(texts: list[str]) -> torch.Tensor:
    return torch.tensor([list(text.encode().ljust(8))[-8:] for text in texts])


def list_models() -> list[str]:
    return NAMES


def create_model(name: str, pretrained: str | None = None, *, force_quick_gelu: bool = False) -> TwoTowers:
    return TwoTowers()


def get_tokenizer(name: str) -> object:
    return tokenize


def install() -> None:
    """Stand in for open_clip where it is not installed."""
    if "open_clip" not in sys.modules and importlib.util.find_spec("open_clip") is None:
        sys.modules["open_clip"] = sys.modules[__name__]
