"""The `cim` fusion: `vse` whose picture is looked at with the words in mind; docs/systems/fusions.md#cim."""

from __future__ import annotations

from torch import Tensor

from stages.fusions.intra_attention import IntraAttention
from stages.fusions.layout import Block, Parts
from stages.fusions.options_vse import CimOptions
from stages.fusions.states import States, region_width, regions_of, word_width
from stages.fusions.vse import VisualSemantic, VseFusion
from stages.heads.network import Mlp


def attention_of(text: Block, image: Block, options: CimOptions) -> IntraAttention:
    """Return the attention over the regions and words of these inputs."""
    return IntraAttention(region_width(image), word_width(text), options.width, options.heads)


class AttentiveSemantic(VisualSemantic):
    """Embeds a text by its words, and a picture by an attention between its regions and those words."""

    def __init__(self, text: Block, image: Block, options: CimOptions) -> None:
        behind = Mlp(options.width, options.width, (options.width,), options.dropout)  # ReLU between [ours]
        super().__init__(text, behind, options)
        self.attend = attention_of(text, image, options)

    def see(self, words: States, image: Parts) -> Tensor:
        """Return e_v [n, d]."""
        visual: Tensor = self.visual(self.attend(*regions_of(image), words).summary)
        return visual


class CimFusion(VseFusion):
    """Joined features [n, columns] -> logits [n, K]; the picture is read by its map or regions.

    Parameters
    ----------
    layout, outputs, task
        As for `vse`.
    **options
        The fields of `CimOptions` that `NetworkOptions` lacks.
    """

    options: CimOptions
    options_type = CimOptions

    def body(self, text: Block, image: Block) -> VisualSemantic:
        """Return what embeds the pairs."""
        return AttentiveSemantic(text, image, self.options)
