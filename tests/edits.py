"""Every edit of main.py and of its twin: settings, README's patches, traps, exercises, variants.

An edit is a list of pairs: what stands once in the script, and its stand-in.
"""

from typing import NamedTuple

SETTINGS = {"num_steps": 1000, "batch_size": 32, "n_embd": 64}


def edited(text, *edits):
    """text after the edits. Raises ValueError where an edit's old text does not stand once."""
    for edit in edits:
        for old, new in edit:
            if text.count(old) != 1:
                raise ValueError(f"{old!r} stands {text.count(old)} times in the script")
            text = text.replace(old, new)
    return text


def setting(**values):
    """The edit that sets hyperparameters to other values."""
    return [(f"\n{k} = {SETTINGS[k]}", f"\n{k} = {value}") for k, value in values.items()]


# --- The lines that several edits change ---
ROW_COMMENT = "# Each query keeps key 0, BOS. With no key left, -1e9 gives equal weights, -inf NaN."
MASK_LATER = "att = mx.where(causal_mask[:T, :T], -1e9, att)"
MASK_PADDING = "att = mx.where(pad_mask[:, None, None, :], -1e9, att)"
SCORES = "        att = q @ k.swapaxes(2, 3) / head_dim**0.5  # (B, n_head, T, T), query by key\n"
WEIGHTS = "        att = mx.softmax(att, axis=-1)  # over keys: weights of a query sum to 1\n"
LOSS = '    return loss / target_mask.sum()  # reduction="mean" would divide by padding, too\n'
LOSS_AND_GRAD = (
    "loss_and_grad = nn.value_and_grad(model, loss_fn)  # returns the loss and its gradients\n"
)
ADAM = "eps=eps_adam, bias_correction=True)\n"
UPDATE = """\
    loss_val, grads = loss_and_grad(model, input_ids, targets, pad_mask, target_mask)
    optimizer.update(model, grads)
"""
EVAL = "    mx.eval(model.parameters(), optimizer.state)"
PRINTS = "if step == 0 or (step + 1) % 10 == 0:"
ON_THE_CPU = [("import tree_flatten\n", "import tree_flatten\n\nmx.set_default_device(mx.cpu)\n")]
EACH_STEP = [(PRINTS, "if True:")]  # print each loss
NO_STEP = [(PRINTS, "if False:")]

# --- README's patches ---
COMPILE = [
    (
        ADAM,
        ADAM
        + """\
optimizer.init(model.trainable_parameters())  # else the first length is traced twice
state = [model.state, optimizer.state]  # what a step reads and changes beside its arguments


def train_step(*batch):
    loss_val, grads = loss_and_grad(model, *batch)
    optimizer.update(model, grads)
    return loss_val


train_step = mx.compile(train_step, inputs=state, outputs=state)
""",
    ),
    (UPDATE, "    loss_val = train_step(input_ids, targets, pad_mask, target_mask)\n"),
]
ONE_ARRAY = [
    (
        "model = MicroGPT()\n",
        '''\
model = MicroGPT()
gpt, named = model, tree_flatten(model.parameters())  # named: 15 pairs of a name and an array
ends = mx.cumsum(mx.array([p.size for _, p in named]))[:-1].tolist()  # where all but one end


class OneArray(nn.Module):
    """The same model, its parameters laid end to end in one array."""

    def __init__(self):
        super().__init__()
        self.flat = mx.concatenate([p.flatten() for _, p in named])  # (num params,)

    def __call__(self, idx, pad_mask=None):
        parts = zip(named, self.flat.split(ends))
        gpt.load_weights([(name, part.reshape(p.shape)) for (name, p), part in parts])
        return gpt(idx, pad_mask)


model = OneArray()
''',
    )
]
VECTORIZE = [
    (
        "    logits = model(input_ids, pad_mask)  # (B, T, vocab_size)\n",
        """\

    def one(idx, pad_mask):  # (T,) and (T,) to (T, vocab_size)
        return model(idx[None], pad_mask[None])[0]

    logits = mx.vmap(one)(input_ids, pad_mask)  # (B, T, vocab_size)
""",
    )
]
MANY_MACHINES = [
    (
        "mx.random.seed(42)\n",
        """\
mx.random.seed(42)
world = mx.distributed.init()  # a world of one, unless mlx.launch started it
if world.rank() > 0:
    sys.stdout = None  # only rank 0 prints
""",
    ),
    (
        "range(step * batch_size, (step + 1) * batch_size)",
        "range(step * batch_size + world.rank(), (step + 1) * batch_size, world.size())",
    ),
    (
        LOSS,
        """\
    num_targets = mx.distributed.all_sum(target_mask.sum())  # the real targets of all processes
    return world.size() * loss / num_targets  # averaged over all: the loss of the batch
""",
    ),
    (
        LOSS_AND_GRAD,
        """\
own_loss_and_grad = nn.value_and_grad(model, loss_fn)


def loss_and_grad(*arguments):
    return nn.average_gradients(own_loss_and_grad(*arguments))  # one message for all arrays


""",
    ),
    (
        f"    {PRINTS}\n",
        f"""\
    mx.eval(loss_val)  # it was summed over all: none may leave it a promise
    {PRINTS}
""",
    ),
]
PATCHES = {
    "Compile": COMPILE,
    "One array": ONE_ARRAY,
    "Vectorize": VECTORIZE,
    "Many machines": MANY_MACHINES,
}

# --- The benchmark's variants ---
PADDED = [("max_len = max(len(s) for s in sequences)", "max_len = block_size + 1")]
FAST_ATTENTION = [
    (SCORES, "        hidden = causal_mask[:T, :T]  # (T, T)\n"),
    (
        f"        {ROW_COMMENT}\n        {MASK_LATER}  # mask: (T, T)\n",
        "",
    ),
    (MASK_PADDING + "  # mask:", "hidden = hidden | pad_mask[:, None, None, :]  #"),
    (WEIGHTS, "        scale, mask = head_dim**-0.5, ~hidden  # True: may be read\n"),
    (
        "out = (att @ v)",
        "out = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=mask)\n"
        "        out = out",
    ),
]
FAST_NORM = [
    (
        "return x * (x.square().mean(-1, keepdims=True) + 1e-5).rsqrt()",
        "return mx.fast.rms_norm(x, None, 1e-5)",
    )
]
SCHEDULE = [
    ("optim.Adam(learning_rate,", "optim.Adam(optim.linear_schedule(learning_rate, 0, num_steps),"),
    ("    optimizer.learning_rate = lr_t\n", ""),
]
# --- What a GPU changes ---
ONE_HOT = [("self.wte(idx)", "mx.eye(vocab_size_with_pad)[idx] @ self.wte.weight")]

# --- Edits of the twin ---
FUSED = [("eps=eps_adam)", "eps=eps_adam, fused=True)")]
BEFORE_ADAM = "\n\nlearning_rate, beta1"


def torch_compiled(options=""):
    """The edit that compiles the twin's forward and backward pass."""
    return [(BEFORE_ADAM, f"\n\nloss_fn = torch.compile(loss_fn{options})\n{BEFORE_ADAM}")]


TORCH_COMPILE = torch_compiled()
TORCH_GRAPHS = torch_compiled(', mode="reduce-overhead", dynamic=False')


# --- The traps of README, and its exercises ---
class Trap(NamedTuple):
    """A mistake that raises no error: its edits, how a reader would notice it, what to do."""

    edits: list
    notice: str
    remedy: str


UNWEIGHTED = ("weights=target_mask, reduction", "reduction")
AVERAGED = (LOSS, "    return loss / target_mask.size\n")
TARGETS = "target_ids.append(s[1:] + [0] * pad)"
FAST_INVERTED = [
    (old, new.replace("~hidden  # True: may be read", "hidden")) for old, new in FAST_ATTENTION
]
COUNTED = [UNWEIGHTED, AVERAGED]
NO_CAUSAL_MASK = [(f"{MASK_LATER}  # mask: (T, T)", "pass")]
NO_PADDING_MASK = [(MASK_PADDING, "pass")]
MINUS_INF = [(MASK_PADDING, MASK_PADDING.replace("-1e9", "-mx.inf"))]
NO_EVAL = [(EVAL, "    # ")]
PROBABILITIES = [
    ("categorical(logits / temperature)", "categorical(mx.softmax(logits / temperature))")
]
PADDED_ON_THE_LEFT = [
    ("input_ids.append(s[:n] + [PAD] * pad)", "input_ids.append([PAD] * pad + s[:n])"),
    (TARGETS, "target_ids.append([0] * pad + s[1:])"),
    ("[False] * n + [True] * pad", "[True] * pad + [False] * n"),
    ("[1.0] * n + [0.0] * pad", "[0.0] * pad + [1.0] * n"),
]
NO_POSITIONS = [(" + self.wpe(positions[: idx.shape[1]])", "")]

TRAPS = {  # the worst first
    "no mistake": Trap([], "", ""),
    "mask kept as `self.mask`": Trap(
        [
            (
                "        self.wo = nn.Linear(n_embd, n_embd, bias=False)\n",
                "        self.wo = nn.Linear(n_embd, n_embd, bias=False)\n"
                "        self.mask = mx.where(causal_mask, -1e9, 0.0)\n",
            ),
            (MASK_LATER, "att = att + self.mask[:T, :T]"),
        ],
        "{mask_params} parameters; the names come out empty",
        "an array in a module is a parameter, so `apply` overwrites it and Adam trains it: keep it"
        " outside, or call it `_mask` ([141](https://github.com/ml-explore/mlx/issues/141))",
    ),
    "-100 as target, counted": Trap(
        [*COUNTED, (TARGETS, TARGETS.replace("[0]", "[-100]"))],
        "the loss grows without end",
        "an index is not checked, -100 reads some other number"
        " ([206](https://github.com/ml-explore/mlx/issues/206)): `weights=target_mask`",
    ),
    "`mx.compile` without `inputs=`": Trap(
        [(old, new.replace("inputs=state, ", "")) for old, new in COMPILE],
        "right at first, then it stops learning",
        "what the step reads was frozen when it was traced"
        " ([1401](https://github.com/ml-explore/mlx/pull/1401)): name it in `inputs=`",
    ),
    "`mx.fast` attention, mask inverted": Trap(
        FAST_INVERTED,
        "a loss that no model of names can have; empty names",
        "there True is what *may* be read: `mask=~hidden`",
    ),
    "padding counted as a target": Trap(
        COUNTED,
        "the loss is too good; the model is not: {counted} on unseen names, {plain} without",
        "`weights=target_mask`, and divide by its sum",
    ),
    '`weights=`, but `reduction="mean"`': Trap(
        [('reduction="sum"', 'reduction="mean"'), (LOSS, "    return loss\n")],
        "the loss is too small by the share of padding",
        '"mean" divides by all positions: `reduction="sum"`, and divide yourself',
    ),
    "no `bias_correction`": Trap(
        [("bias_correction=True", "bias_correction=False")],
        "the loss climbs at first; the end is {seeds} worse over four seeds",
        "`bias_correction=True`, in `AdamW`, too"
        " ([1640](https://github.com/ml-explore/mlx/pull/1640))",
    ),
    "PAD's embedding not zeroed": Trap(
        [("self.wte.weight[PAD] = 0.0", "pass")],
        "you don't",
        "harmless here: the masks keep it out of every real position",
    ),
    "no padding mask": Trap(
        NO_PADDING_MASK,
        "you don't",
        "harmless here: padding is on the right, the causal mask hides it",
    ),
}
