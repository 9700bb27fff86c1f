"""
microGPT, batched, in MLX. Run it with `uv run python main.py`.

It learns from the names in input.txt to predict each next letter. Then it makes up 20 names.

A batch of 32 names gives arrays one more axis, B. The price: names differ in length but the rows
of an array don't, so short names are padded, and attention and loss get a mask each.

README.md turns tests/one_at_a_time.py into main.py in four steps, and runs each of them. The same
in PyTorch is tests/pytorch_batched.py.

References:
- Vaswani et al. 2017, Attention Is All You Need, https://arxiv.org/abs/1706.03762
- Zhang & Sennrich 2019, Root Mean Square Layer Normalization, https://arxiv.org/abs/1910.07467
- Kingma & Ba 2015, Adam: A Method for Stochastic Optimization, https://arxiv.org/abs/1412.6980
"""

import random
import sys
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten  # nested parameters as a list of (name, array)

random.seed(42)
mx.random.seed(42)

# --- Dataset & Tokenizer ---
input_path = Path(__file__).parent / "input.txt"
try:
    lines = input_path.read_text(encoding="utf-8-sig").splitlines()  # -sig skips a byte-order mark
except (OSError, UnicodeError):
    lines = []
docs = [line.strip() for line in lines if line.strip()]  # the documents: here, names
docs = docs or sys.exit(f"put a UTF-8 text, one document per line, into {input_path}")
random.shuffle(docs)
print(f"num docs: {len(docs)}")

uchars = sorted(set("".join(docs)))  # token id i stands for the character uchars[i]
BOS = len(uchars)  # begins and ends each document
vocab_size = len(uchars) + 1  # what the model can predict: the characters and BOS
PAD = vocab_size  # fills up short sequences: an input, never a prediction
vocab_size_with_pad = vocab_size + 1
print(f"vocab size: {vocab_size} (+1 pad = {vocab_size_with_pad})")

# --- Hyperparameters ---
# In shapes: B names, T tokens each, C numbers a token.
n_embd = 64  # C
n_head = 4  # attention heads
n_layer = 2  # blocks
block_size = 16  # the most tokens that the model can read; nothing to do with Block
head_dim = n_embd // n_head  # the size of one head's queries, keys and values
batch_size = 32  # B
num_steps = 1000


# --- Batching ---
def make_batch(docs, step, batch_size):
    """Make batch number `step` of docs, padded on the right. After the last doc, start over.

    Returns (B, T) arrays: input_ids and target_ids int32, pad_masks bool, target_masks float32.
    B is batch_size, T the longest row's length, at most block_size. A target is the next token.
    Padding is PAD in input_ids, 0 in target_ids, True in pad_masks and 0.0 in target_masks.
    """
    sequences = []
    for i in range(step * batch_size, (step + 1) * batch_size):
        doc = docs[i % len(docs)][:block_size]  # no more fits
        toks = [BOS] + [uchars.index(ch) for ch in doc] + [BOS]
        sequences.append(toks[: block_size + 1])
    max_len = max(len(s) for s in sequences)

    input_ids, target_ids, pad_masks, target_masks = [], [], [], []
    for s in sequences:
        n = len(s) - 1  # the number of inputs, and of targets
        pad = max_len - len(s)
        input_ids.append(s[:n] + [PAD] * pad)
        target_ids.append(s[1:] + [0] * pad)  # any id but PAD would do: target_masks hides it
        pad_masks.append([False] * n + [True] * pad)
        target_masks.append([1.0] * n + [0.0] * pad)
    return tuple(mx.array(x) for x in (input_ids, target_ids, pad_masks, target_masks))


# --- Model ---
positions = mx.arange(block_size)
causal_mask = positions[:, None] < positions  # True above the diagonal: the future


class RMSNorm(nn.Module):
    """Scale each vector to root mean square 1 (Zhang & Sennrich 2019), no learned gain."""

    def __call__(self, x):  # model(x) calls this; MLX has no forward
        # Adding 1e-5 keeps the result finite where x is all zeros.
        return x * (x.square().mean(-1, keepdims=True) + 1e-5).rsqrt()  # 1 / square root


class CausalSelfAttention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017); no position reads a later one."""

    def __init__(self):
        super().__init__()
        self.wq = nn.Linear(n_embd, n_embd, bias=False)
        self.wk = nn.Linear(n_embd, n_embd, bias=False)
        self.wv = nn.Linear(n_embd, n_embd, bias=False)
        self.wo = nn.Linear(n_embd, n_embd, bias=False)

    def __call__(self, x, pad_mask=None):
        B, T, C = x.shape
        # Queries, keys and values, with C split into heads.
        q = self.wq(x).reshape(B, T, n_head, head_dim).swapaxes(1, 2)  # (B, n_head, T, head_dim)
        k = self.wk(x).reshape(B, T, n_head, head_dim).swapaxes(1, 2)
        v = self.wv(x).reshape(B, T, n_head, head_dim).swapaxes(1, 2)
        att = q @ k.swapaxes(2, 3) / head_dim**0.5  # scores: (B, n_head, T, T)
        # With -inf, a query that may read no key, such as PAD on the left, would get NaN.
        att = mx.where(causal_mask[:T, :T], -1e9, att)  # mask: (T, T)
        if pad_mask is not None:
            att = mx.where(pad_mask[:, None, None, :], -1e9, att)  # mask: (B, 1, 1, T)
        att = mx.softmax(att, axis=-1)  # over the keys: each query's weights sum to 1
        out = (att @ v).swapaxes(1, 2).reshape(B, T, C)  # join the heads again
        return self.wo(out)  # (B, T, C)


class MLP(nn.Module):
    """Widen each vector to 4 * C numbers, apply ReLU, and narrow it back to C."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(n_embd, 4 * n_embd, bias=False)
        self.fc2 = nn.Linear(4 * n_embd, n_embd, bias=False)

    def __call__(self, x):
        return self.fc2(mx.maximum(self.fc1(x), 0))  # ReLU


class Block(nn.Module):
    """Add attention to x, then an MLP; both read a normalized copy of x."""

    def __init__(self):
        super().__init__()
        self.norm1 = RMSNorm()
        self.attn = CausalSelfAttention()
        self.norm2 = RMSNorm()
        self.mlp = MLP()

    def __call__(self, x, pad_mask=None):
        x = x + self.attn(self.norm1(x), pad_mask)
        return x + self.mlp(self.norm2(x))


class MicroGPT(nn.Module):
    """Turn token ids (B, T) into logits for each next token (B, T, vocab_size)."""

    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(vocab_size_with_pad, n_embd)  # token embeddings
        self.wpe = nn.Embedding(block_size, n_embd)  # position embeddings
        self.norm_in = RMSNorm()
        self.layers = [Block() for _ in range(n_layer)]  # MLX finds these in lists, not in tuples
        self.lm_head = nn.Linear(n_embd, vocab_size, bias=False)
        self.apply(nn.init.normal(std=0.08))  # on all parameters; 0.08 is microgpt's
        self.wte.weight[PAD] = 0.0  # as PyTorch's padding_idx does; no loss depends on it

    def __call__(self, idx, pad_mask=None):
        x = self.wte(idx) + self.wpe(positions[: idx.shape[1]])  # (B, T, C)
        x = self.norm_in(x)
        for layer in self.layers:
            x = layer(x, pad_mask)
        return self.lm_head(x)  # (B, T, vocab_size)


model = MicroGPT()
print(f"num params: {sum(p.size for _, p in tree_flatten(model.parameters()))}")
device = mx.default_device()  # the GPU, where MLX was installed with support for one
print(f"device: {device}")


# --- Training ---
def loss_fn(model, input_ids, targets, pad_mask, target_mask):
    """Mean cross-entropy over the real targets of a batch, a scalar."""
    logits = model(input_ids, pad_mask)  # (B, T, vocab_size)
    loss = nn.losses.cross_entropy(logits, targets, weights=target_mask, reduction="sum")
    return loss / target_mask.sum()  # reduction="mean" would count padding, too


learning_rate, beta1, beta2, eps_adam = 1e-2, 0.85, 0.99, 1e-8  # microgpt's
loss_and_grad = nn.value_and_grad(model, loss_fn)  # gradients of the model's parameters
# Adam's averages start at 0, so early steps are too big. PyTorch corrects that, MLX if asked.
optimizer = optim.Adam(learning_rate, betas=(beta1, beta2), eps=eps_adam, bias_correction=True)

for step in range(num_steps):
    input_ids, targets, pad_mask, target_mask = make_batch(docs, step, batch_size)

    lr_t = learning_rate * (1 - step / num_steps)  # falls linearly towards 0
    optimizer.learning_rate = lr_t
    loss_val, grads = loss_and_grad(model, input_ids, targets, pad_mask, target_mask)
    optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state)  # only now are these computed

    if step == 0 or (step + 1) % 10 == 0:
        print(f"step {step + 1:4d} / {num_steps:4d} | loss {loss_val.item():.4f}", flush=True)

# --- Inference ---
temperature = 0.5  # below 1, likely tokens become likelier
print("\n--- inference (hallucinated names) ---")
for sample_idx in range(20):
    tokens = [BOS]
    for _ in range(block_size):
        logits = model(mx.array([tokens]))[0, -1]  # for the next token
        token_id = mx.random.categorical(logits / temperature).item()  # one draw from their softmax
        if token_id == BOS:
            break
        tokens.append(token_id)  # the next prediction reads it

    name = "".join(uchars[token_id] for token_id in tokens[1:])
    print(f"sample {sample_idx + 1:2d}: {name}")
