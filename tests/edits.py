"""The edits of main.py that are no patch: pairs of old text and new, see scripts.py.

The old text leaves out its line's comment, so that comments may change.
"""

SEEDS = "random.seed(42)\nmx.random.seed(42)"


def seed(value):
    """The edit that starts main.py from another seed."""
    return (SEEDS, SEEDS.replace("42", str(value)))


def num_steps(value):
    """The edit that makes a run shorter, or longer."""
    return ("num_steps = 1000", f"num_steps = {value}")


# The PyTorch script computes on a GPU where it finds one.
TWIN_ON_THE_CPU = ("torch.accelerator.current_accelerator(check_available=True) or ", "")


def batch_size(value):
    return ("batch_size = 32", f"batch_size = {value}")


def rate(value):
    """The edit that gives main.py another learning rate, a text such as "3e-3"."""
    return ("eps_adam = 1e-2", f"eps_adam = {value}")


LAST_LAYER = "self.wo = nn.Linear(n_embd, n_embd, bias=False)"
TRIL = "self.tril = mx.tril(mx.ones((block_size, block_size)))"
GAIN = "RMSNorm = lambda: nn.RMSNorm(n_embd)"
PLAIN_MEAN = [
    ("weights=target_mask, reduction", "reduction"),
    ("loss / target_mask.sum()", "loss / target_mask.size"),
]
ALWAYS_16 = ("max(len(s) for s in sequences)", "block_size + 1")  # T is block_size
MISTAKES = {  # that raise no error, by the key in a row of README's table
    "counted": PLAIN_MEAN,
    "axis": [("mx.softmax(att, axis=-1)", "mx.softmax(att)")],
    "invert": ["patches/fast", ("mx.logical_not(hidden)", "hidden")],
    "tril": [
        (LAST_LAYER, f"{LAST_LAYER}\n        {TRIL}"),
        ("mx.where(causal_mask[:T, :T],", "mx.where(self.tril[:T, :T] == 0,"),
    ],
    "tuple": [
        ("[Block() for _ in range(n_layer)]", "tuple(Block() for _ in range(n_layer))"),
    ],
    "gain": [("class CausalSelfAttention(", f"{GAIN}\n\n\nclass CausalSelfAttention(")],
    "adam": [("bias_correction=True", "bias_correction=False")],
    "temperature": [("temperature = 0.5", "temperature = 0")],
    "probabilities": [("(logits / temperature)", "(mx.softmax(logits / temperature))")],
}
LIKE_LENGTH = """\
docs += docs[: -len(docs) % batch_size]
docs.sort(key=len)
batches = [docs[i : i + batch_size] for i in range(0, len(docs), batch_size)]
random.shuffle(batches)
docs = [doc for batch in batches for doc in batch]
"""
SPLIT = """\
rest = len(docs) - min(3000, len(docs) // 10)
held_out = sorted(set(docs[rest:]) - set(docs[:rest]))
held_out = held_out or sys.exit("nothing to hold out: too few lines, or each stands twice")
docs = docs[:rest]
"""
HELD_OUT = """\
total = count = 0
for i in range(0, len(held_out), batch_size):
    piece = held_out[i : i + batch_size]
    batch = make_batch(piece, 0, len(piece))
    n = batch[3].sum().item()  # the number of real targets
    total, count = total + n * loss_fn(model, *batch).item(), count + n
print("held out:", total / count)
"""
EXPERIMENTS = {  # of the README, where a block `diff NAME` shows what to change
    "no-padding-mask": [
        ("if pad_mask is not None:", ""),
        ("att = mx.where(pad_mask[:, None, None, :], -1e9, att)", ""),
        ("s[:n] + [PAD] * pad", "s[:n] + [BOS] * pad"),
    ],
    "no-causal-mask": [("att = mx.where(causal_mask[:T, :T], -1e9, att)", "")],
    "no-positions": [(" + self.wpe(positions[: idx.shape[1]])", "")],
    "left-padding": [
        ("s[:n] + [PAD] * pad", "[PAD] * pad + s[:n]"),
        ("s[1:] + [0] * pad", "[0] * pad + s[1:]"),
        ("[False] * n + [True] * pad", "[True] * pad + [False] * n"),
        ("[1.0] * n + [0.0] * pad", "[0.0] * pad + [1.0] * n"),
    ],
    "like-length": [("loss_and_grad = nn.value", f"{LIKE_LENGTH}loss_and_grad = nn.value")],
    "held-out": [
        ("n_embd = 64", f"{SPLIT}n_embd = 64"),
        ("temperature = 0.5", f"{HELD_OUT}temperature = 0.5"),
    ],
}
ATTENTION, MLP = "x + self.attn(self.norm1(x), pad_mask)", "x + self.mlp(self.norm2(x))"
PARTS = {  # taken out of the model or the loop, one at a time, for another table of README's
    "attention": [(ATTENTION, "x")],
    "positions": EXPERIMENTS["no-positions"],
    "mlp": [(MLP, "x")],
    "relu": [("mx.maximum(self.fc1(x), 0)", "self.fc1(x)")],
    "around": [(ATTENTION, ATTENTION[4:]), (MLP, MLP[4:])],
    "norms": [("x * (x.square().mean(-1, keepdims=True) + 1e-5).rsqrt()", "x")],
    "division": [(" / head_dim**0.5", "")],
    "falling": [("learning_rate * (1 - step / num_steps)", "learning_rate")],
}
ONE_BLOCK = {
    "one-block": [("n_layer = 2", "n_layer = 1")],
    "one-block-no-positions": [("n_layer = 2", "n_layer = 1"), *EXPERIMENTS["no-positions"]],
}
LEFT_16 = {"left-16": [*EXPERIMENTS["left-padding"], ALWAYS_16], "right-16": [ALWAYS_16]}
ALL = {"none": []} | MISTAKES | EXPERIMENTS | PARTS | ONE_BLOCK | LEFT_16
