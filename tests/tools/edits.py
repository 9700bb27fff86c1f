"""The edits of main.py that are no patch: pairs of old text and new.

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


LAST_LAYER = "self.wo = nn.Linear(n_embd, n_embd, bias=False)"
TRIL = "self.tril = mx.tril(mx.ones((block_size, block_size)))"
PLAIN_MEAN = [
    ("weights=target_mask, reduction", "reduction"),
    ("loss / target_mask.sum()", "loss / target_mask.size"),
]
LEFT = [
    ("s[:n] + [PAD] * pad", "[PAD] * pad + s[:n]"),
    ("s[1:] + [0] * pad", "[0] * pad + s[1:]"),
    ("[False] * n + [True] * pad", "[True] * pad + [False] * n"),
    ("[1.0] * n + [0.0] * pad", "[0.0] * pad + [1.0] * n"),
]
NO_PADDING_MASK = ("att = mx.where(pad_mask[:, None, None, :], -1e9, att)", "pass")

TRAPS = {  # the mistakes that raise no error, by the key in a row of README's table
    "counted": PLAIN_MEAN,
    "ignored": [*PLAIN_MEAN, ("s[1:] + [0] * pad", "s[1:] + [-100] * pad")],
    "axis": [("mx.softmax(att, axis=-1)", "mx.softmax(att)")],
    "invert": ["fast", ("mx.logical_not(hidden)", "hidden")],
    "tril": [
        (LAST_LAYER, f"{LAST_LAYER}\n        {TRIL}"),
        ("mx.where(causal_mask[:T, :T],", "mx.where(self.tril[:T, :T] == 0,"),
    ],
    "tuple": [
        ("[Block() for _ in range(n_layer)]", "tuple(Block() for _ in range(n_layer))"),
    ],
    "adam": [("bias_correction=True", "bias_correction=False")],
    "probabilities": [("(logits / temperature)", "(mx.softmax(logits / temperature))")],
    "compile": ["compile", ("inputs=state, ", "")],
}
EXERCISES = {
    "as-it-is": [],
    "no-padding-mask": [NO_PADDING_MASK, ("s[:n] + [PAD] * pad", "s[:n] + [BOS] * pad")],
    "no-causal-mask": [("att = mx.where(causal_mask[:T, :T], -1e9, att)", "pass")],
    "no-positions": [(" + self.wpe(positions[: idx.shape[1]])", "")],
    "left": LEFT,
}
ONE_AT_A_TIME = [("batch_size = 32", "batch_size = 1"), num_steps(32000)]
BATCHES = {  # measured on names that are held out
    **{f"batch-{n}": [("batch_size = 32", f"batch_size = {n}")] for n in (1, 8, 128)},
    "batch-32": [],
    "one-at-a-time": ONE_AT_A_TIME,
    "one-at-a-time-slowly": [*ONE_AT_A_TIME, ("eps_adam = 1e-2", "eps_adam = 1e-3")],
}
CHANGES = TRAPS | EXERCISES | BATCHES
