"""The family's tokenizer: one token per character, 128 entries, in Hugging Face form.

A BPE without merges, so that transformers and vLLM load it unchanged. Role names and the phrase
"The answer is" are one token each; the chat template is Qwen3's in shape and opens the thinking.
"""

import string

from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

VOCABULARY_SIZE = 128
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PHRASES = ["<think>", "</think>", "user", "assistant", "The answer is"]
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Make the tokenizer from scratch; it is equal to the one in each model's folder."""
    characters = [c for c in string.printable if c.isprintable()] + ["\n"]
    entries = SPECIAL + PHRASES + characters
    entries += [f"<|unused_{i}|>" for i in range(VOCABULARY_SIZE - len(entries))]
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[], unk_token=SPECIAL[0]))
    tokenizer.decoder = decoders.Fuse()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in PHRASES])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )
