"""The edits of main.py and of its twin that are no patch: pairs of old text and new.

The old text stands once in the script, without its line's comment, so that comments may change.
"""

SEEDS = "random.seed(42)\nmx.random.seed(42)"
ON_THE_CPU = (SEEDS, f"mx.set_default_device(mx.cpu)\n{SEEDS}")


def seed(value):
    """The edit that starts main.py from another seed."""
    return (SEEDS, SEEDS.replace("42", str(value)))


def num_steps(value):
    """The edit that makes a run shorter."""
    return ("num_steps = 1000", f"num_steps = {value}")


# --- Of the benchmark ---
PADDED_TO_16 = ("max(len(s) for s in sequences)", "block_size + 1")
FUSED = ("eps=eps_adam)", "eps=eps_adam, fused=True)")
COMPILED = ("learning_rate, beta1,", "loss_fn = torch.compile(loss_fn)\nlearning_rate, beta1,")
GRAPHS = 'torch.compile(loss_fn, mode="reduce-overhead", dynamic=False)'
CUDA_GRAPHS = ("learning_rate, beta1,", f"loss_fn = {GRAPHS}\nlearning_rate, beta1,")

# --- Of the traps and exercises ---
UNWEIGHTED = ("weights=target_mask, reduction", "reduction")
AVERAGED = ("loss / target_mask.sum()", "loss / target_mask.size")
LAST_LAYER = "self.wo = nn.Linear(n_embd, n_embd, bias=False)"
TRIL = "self.tril = mx.tril(mx.ones((block_size, block_size)))"
LEFT = [
    ("s[:n] + [PAD] * pad", "[PAD] * pad + s[:n]"),
    ("s[1:] + [0] * pad", "[0] * pad + s[1:]"),
    ("[False] * n + [True] * pad", "[True] * pad + [False] * n"),
    ("[1.0] * n + [0.0] * pad", "[0.0] * pad + [1.0] * n"),
]
NO_PADDING_MASK = ("att = mx.where(pad_mask[:, None, None, :], -1e9, att)", "pass")
OWN_POSITIONS = (
    "        x = self.wte(idx) + self.wpe(positions[: idx.shape[1]])",
    """\
        pad = 0 if pad_mask is None else pad_mask.sum(axis=1, keepdims=True)  # (B, 1)
        x = self.wte(idx) + self.wpe(mx.maximum(positions[: idx.shape[1]] - pad, 0))""",
)

TRAPS = {  # mistakes that raise no error, in the order of README's table
    "mask-in-module": [
        (LAST_LAYER, f"{LAST_LAYER}\n        {TRIL}"),
        ("mx.where(causal_mask[:T, :T],", "mx.where(self.tril[:T, :T] == 0,"),
    ],
    "ignored-index": [UNWEIGHTED, AVERAGED, ("s[1:] + [0] * pad", "s[1:] + [-100] * pad")],
    "compile-without-inputs": ["compile", ("inputs=state, ", "")],
    "fast-mask-inverted": ["fast", ("mx.logical_not(hidden)", "hidden")],
    "padding-counted": [UNWEIGHTED, AVERAGED],
    "mean-over-padding": [
        ('reduction="sum"', 'reduction="mean"'),
        ("loss / target_mask.sum()", "loss"),
    ],
    "no-bias-correction": [("bias_correction=True", "bias_correction=False")],
    "probabilities": [("(logits / temperature)", "(mx.softmax(logits / temperature))")],
}
EXERCISES = {
    "as-it-is": [],
    "no-causal-mask": [("att = mx.where(causal_mask[:T, :T], -1e9, att)", "pass")],
    "left": LEFT,
    "left-own-positions": [*LEFT, OWN_POSITIONS],
    "left-own-positions-no-mask": [*LEFT, OWN_POSITIONS, NO_PADDING_MASK],
    "temperature-0.1": [("temperature = 0.5", "temperature = 0.1")],
    "temperature-2": [("temperature = 0.5", "temperature = 2")],
    "no-positions": [(" + self.wpe(positions[: idx.shape[1]])", "")],
}
