"""Sets of hand-written prompts for class names, by name.

`imagenet_80` are the 80 prompts that OpenAI chose for CLIP on ImageNet. WiSE-FT, model soups and Machine Vision Therapy
start from the mean direction of these.

Source: Radford et al., ICML 2021 (CLIP), section 3.1.4; the list is `notebooks/Prompt_Engineering_for_ImageNet.ipynb`
of openai/CLIP (MIT). `templates/openai_imagenet_template.py` of tmllab/Machine_Vision_Therapy and
`openai_imagenet_template.py` of mlfoundations/model-soups have the same 80 in the same order.
"""

from shiftbench.base.errors import ParamsError, suggest

IMAGENET_80 = (
    "a bad photo of a {}.",
    "a photo of many {}.",
    "a sculpture of a {}.",
    "a photo of the hard to see {}.",
    "a low resolution photo of the {}.",
    "a rendering of a {}.",
    "graffiti of a {}.",
    "a bad photo of the {}.",
    "a cropped photo of the {}.",
    "a tattoo of a {}.",
    "the embroidered {}.",
    "a photo of a hard to see {}.",
    "a bright photo of a {}.",
    "a photo of a clean {}.",
    "a photo of a dirty {}.",
    "a dark photo of the {}.",
    "a drawing of a {}.",
    "a photo of my {}.",
    "the plastic {}.",
    "a photo of the cool {}.",
    "a close-up photo of a {}.",
    "a black and white photo of the {}.",
    "a painting of the {}.",
    "a painting of a {}.",
    "a pixelated photo of the {}.",
    "a sculpture of the {}.",
    "a bright photo of the {}.",
    "a cropped photo of a {}.",
    "a plastic {}.",
    "a photo of the dirty {}.",
    "a jpeg corrupted photo of a {}.",
    "a blurry photo of the {}.",
    "a photo of the {}.",
    "a good photo of the {}.",
    "a rendering of the {}.",
    "a {} in a video game.",
    "a photo of one {}.",
    "a doodle of a {}.",
    "a close-up photo of the {}.",
    "a photo of a {}.",
    "the origami {}.",
    "the {} in a video game.",
    "a sketch of a {}.",
    "a doodle of the {}.",
    "a origami {}.",
    "a low resolution photo of a {}.",
    "the toy {}.",
    "a rendition of the {}.",
    "a photo of the clean {}.",
    "a photo of a large {}.",
    "a rendition of a {}.",
    "a photo of a nice {}.",
    "a photo of a weird {}.",
    "a blurry photo of a {}.",
    "a cartoon {}.",
    "art of a {}.",
    "a sketch of the {}.",
    "a embroidered {}.",
    "a pixelated photo of a {}.",
    "itap of the {}.",
    "a jpeg corrupted photo of the {}.",
    "a good photo of a {}.",
    "a plushie {}.",
    "a photo of the nice {}.",
    "a photo of the small {}.",
    "a photo of the weird {}.",
    "the cartoon {}.",
    "art of the {}.",
    "a drawing of the {}.",
    "a photo of the large {}.",
    "a black and white photo of a {}.",
    "the plushie {}.",
    "a dark photo of a {}.",
    "itap of a {}.",
    "graffiti of the {}.",
    "a toy {}.",
    "itap of my {}.",
    "a photo of a cool {}.",
    "a photo of a small {}.",
    "a tattoo of the {}.",
)
SETS = {"imagenet_80": IMAGENET_80}


def of(template: str) -> tuple[str, ...]:
    """The prompts that an option `template` stands for: one with `{}` where the name goes, or a set by name.

    Raises:
        ParamsError: no `{}`, and no set of that name.

    Example:
        >>> of("a photo of a {}")
        ('a photo of a {}',)
        >>> len(of("imagenet_80"))
        80
    """
    if "{}" in template:
        return (template,)
    if template not in SETS:
        raise ParamsError(
            f"template is {template!r}; expected a prompt with {{}} where the name goes, or a set of prompts; "
            f"{suggest(template, SETS)}"
        )
    return SETS[template]
