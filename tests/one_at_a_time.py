"""
microGPT, one name at a time, in MLX. Run it with `uv run python tests/one_at_a_time.py`.

It learns from the names in input.txt to predict each next letter. Then it makes up 20 names.

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
input_path = Path(__file__).parent.parent / "input.txt"
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
print(f"vocab size: {vocab_size}")

# --- Hyperparameters ---
# In shapes: T tokens, C numbers a token.
n_embd = 64  # C
n_head = 4  # attention heads
n_layer = 2  # blocks
block_size = 16  # the most tokens that the model can read; nothing to do with Block
head_dim = n_embd // n_head  # the size of one head's queries, keys and values
num_steps = 1000


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

    def __call__(self, x):
        T, C = x.shape
        # Queries, keys and values, with C split into heads.
        q = self.wq(x).reshape(T, n_head, head_dim).swapaxes(0, 1)  # (n_head, T, head_dim)
        k = self.wk(x).reshape(T, n_head, head_dim).swapaxes(0, 1)
        v = self.wv(x).reshape(T, n_head, head_dim).swapaxes(0, 1)
        att = q @ k.swapaxes(1, 2) / head_dim**0.5  # scores: (n_head, T, T)
        att = mx.where(causal_mask[:T, :T], -1e9, att)  # mask: (T, T)
        att = mx.softmax(att, axis=-1)  # over the keys: each query's weights sum to 1
        out = (att @ v).swapaxes(0, 1).reshape(T, C)  # join the heads again
        return self.wo(out)  # (T, C)


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

    def __call__(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class MicroGPT(nn.Module):
    """Turn token ids (T,) into logits for each next token (T, vocab_size)."""

    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(vocab_size, n_embd)  # token embeddings
        self.wpe = nn.Embedding(block_size, n_embd)  # position embeddings
        self.norm_in = RMSNorm()
        self.layers = [Block() for _ in range(n_layer)]  # MLX finds these in lists, not in tuples
        self.lm_head = nn.Linear(n_embd, vocab_size, bias=False)
        self.apply(nn.init.normal(std=0.08))  # on all parameters; 0.08 is microgpt's

    def __call__(self, idx):
        x = self.wte(idx) + self.wpe(positions[: idx.shape[0]])  # (T, C)
        x = self.norm_in(x)
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(x)  # (T, vocab_size)


model = MicroGPT()
print(f"num params: {sum(p.size for _, p in tree_flatten(model.parameters()))}")
device = mx.default_device()  # the GPU, where MLX was installed with support for one
print(f"device: {device}")


# --- Training ---
def loss_fn(model, input_ids, targets):
    """Mean cross-entropy over the targets of a name, a scalar."""
    logits = model(input_ids)  # (T, vocab_size)
    return nn.losses.cross_entropy(logits, targets, reduction="mean")


learning_rate, beta1, beta2, eps_adam = 1e-2, 0.85, 0.99, 1e-8  # microgpt's
loss_and_grad = nn.value_and_grad(model, loss_fn)  # gradients of the model's parameters
# Adam's averages start at 0, so early steps are too big. PyTorch corrects that, MLX if asked.
optimizer = optim.Adam(learning_rate, betas=(beta1, beta2), eps=eps_adam, bias_correction=True)

for step in range(num_steps):
    doc = docs[step % len(docs)][:block_size]  # no more fits
    toks = [BOS] + [uchars.index(ch) for ch in doc] + [BOS]
    s = toks[: block_size + 1]
    input_ids, targets = mx.array(s[:-1]), mx.array(s[1:])  # the next token is the target

    lr_t = learning_rate * (1 - step / num_steps)  # falls linearly towards 0
    optimizer.learning_rate = lr_t
    loss_val, grads = loss_and_grad(model, input_ids, targets)
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
        logits = model(mx.array(tokens))[-1]  # for the next token
        token_id = mx.random.categorical(logits / temperature).item()  # one draw from their softmax
        if token_id == BOS:
            break
        tokens.append(token_id)  # the next prediction reads it

    name = "".join(uchars[token_id] for token_id in tokens[1:])
    print(f"sample {sample_idx + 1:2d}: {name}")
