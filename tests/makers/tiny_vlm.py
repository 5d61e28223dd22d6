"""A vision-language model of a few thousand random weights, saved as transformers save one: LLaVA's architecture."""

from pathlib import Path

WORDS = "This image shows a photo of b c d e f True False or ? , Answer : user assistant"
CHAT = (
    "{% for turn in messages %}{{ turn['role'] }} {% for part in turn['content'] %}{% if part['type'] == 'image' %}"
    "<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %} assistant"
)


def save(folder: Path) -> Path:
    """Write model and processor."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = [*WORDS.split(), "<image>", "<pad>", "<unk>"]
    ids = {word: number for number, word in enumerate(words)}
    words_of = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    words_of.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words_of, unk_token="<unk>", pad_token="<pad>",
        additional_special_tokens=["<image>"],
    )  # fmt: skip
    small = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    eyes = transformers.CLIPVisionConfig(num_hidden_layers=2, image_size=28, patch_size=14, **small)
    text = transformers.LlamaConfig(vocab_size=64, num_hidden_layers=1, num_key_value_heads=2, **small)
    torch.manual_seed(0)
    config = transformers.LlavaConfig(vision_config=eyes, text_config=text, image_token_index=ids["<image>"])
    pictures = transformers.CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    processor = transformers.LlavaProcessor(
        image_processor=pictures, tokenizer=tokens, patch_size=14, chat_template=CHAT,
        vision_feature_select_strategy="default", num_additional_image_tokens=1,
    )  # fmt: skip
    net = transformers.LlavaForConditionalGeneration(config)
    for part in (net, processor):
        part.save_pretrained(folder)
    return folder
