"""
microGPT, batched, in PyTorch. Run it with `python tests/pytorch_batched.py`.

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

import torch
import torch.nn as nn
import torch.nn.functional as F

random.seed(42)
torch.manual_seed(42)

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
device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


# --- Batching ---
def make_batch(docs, step, batch_size):
    """Make batch number `step` of docs, padded on the right. After the last doc, start over.

    Returns (B, T) tensors: input_ids and target_ids int64, pad_masks bool.
    B is batch_size, T the longest row's length, at most block_size. A target is the next token.
    Padding is PAD in input_ids, -100 in target_ids and True in pad_masks.
    """
    sequences = []
    for i in range(step * batch_size, (step + 1) * batch_size):
        doc = docs[i % len(docs)][:block_size]  # no more fits
        toks = [BOS] + [uchars.index(ch) for ch in doc] + [BOS]
        sequences.append(toks[: block_size + 1])
    max_len = max(len(s) for s in sequences)

    input_ids, target_ids, pad_masks = [], [], []
    for s in sequences:
        n = len(s) - 1  # the number of inputs, and of targets
        pad = max_len - len(s)
        input_ids.append(s[:n] + [PAD] * pad)
        target_ids.append(s[1:] + [-100] * pad)
        pad_masks.append([False] * n + [True] * pad)
    return tuple(torch.tensor(x, device=device) for x in (input_ids, target_ids, pad_masks))


# --- Model ---
positions = torch.arange(block_size, device=device)
causal_mask = positions[:, None] < positions  # True above the diagonal: the future


class RMSNorm(nn.Module):
    """Scale each vector to root mean square 1 (Zhang & Sennrich 2019), no learned gain."""

    def forward(self, x):
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

    def forward(self, x, pad_mask=None):
        B, T, C = x.shape
        # Queries, keys and values, with C split into heads.
        q = self.wq(x).reshape(B, T, n_head, head_dim).swapaxes(1, 2)  # (B, n_head, T, head_dim)
        k = self.wk(x).reshape(B, T, n_head, head_dim).swapaxes(1, 2)
        v = self.wv(x).reshape(B, T, n_head, head_dim).swapaxes(1, 2)
        att = q @ k.swapaxes(2, 3) / head_dim**0.5  # scores: (B, n_head, T, T)
        # With -inf, a query that may read no key, such as PAD on the left, would get NaN.
        att = att.masked_fill(causal_mask[:T, :T], -1e9)  # mask: (T, T)
        if pad_mask is not None:
            att = att.masked_fill(pad_mask[:, None, None, :], -1e9)  # mask: (B, 1, 1, T)
        att = F.softmax(att, dim=-1)  # over the keys: each query's weights sum to 1
        out = (att @ v).swapaxes(1, 2).reshape(B, T, C)  # join the heads again
        return self.wo(out)  # (B, T, C)


class MLP(nn.Module):
    """Widen each vector to 4 * C numbers, apply ReLU, and narrow it back to C."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(n_embd, 4 * n_embd, bias=False)
        self.fc2 = nn.Linear(4 * n_embd, n_embd, bias=False)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


class Block(nn.Module):
    """Add attention to x, then an MLP; both read a normalized copy of x."""

    def __init__(self):
        super().__init__()
        self.norm1 = RMSNorm()
        self.attn = CausalSelfAttention()
        self.norm2 = RMSNorm()
        self.mlp = MLP()

    def forward(self, x, pad_mask=None):
        x = x + self.attn(self.norm1(x), pad_mask)
        return x + self.mlp(self.norm2(x))


class MicroGPT(nn.Module):
    """Turn token ids (B, T) into logits for each next token (B, T, vocab_size)."""

    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(vocab_size_with_pad, n_embd, padding_idx=PAD)  # token embeddings
        self.wpe = nn.Embedding(block_size, n_embd)  # position embeddings
        self.norm_in = RMSNorm()
        self.layers = nn.ModuleList(Block() for _ in range(n_layer))
        self.lm_head = nn.Linear(n_embd, vocab_size, bias=False)
        for p in self.parameters():
            nn.init.normal_(p, std=0.08)
        nn.init.zeros_(self.wte.weight[PAD])

    def forward(self, idx, pad_mask=None):
        x = self.wte(idx) + self.wpe(positions[: idx.shape[1]])  # (B, T, C)
        x = self.norm_in(x)
        for layer in self.layers:
            x = layer(x, pad_mask)
        return self.lm_head(x)  # (B, T, vocab_size)


model = MicroGPT()
model.to(device)
print(f"num params: {sum(p.numel() for p in model.parameters())}")
print(f"device: {device}")


# --- Training ---
def loss_fn(model, input_ids, targets, pad_mask):
    """Mean cross-entropy over the real targets of a batch, a scalar."""
    logits = model(input_ids, pad_mask)  # (B, T, vocab_size)
    return F.cross_entropy(logits.reshape(-1, vocab_size), targets.reshape(-1), ignore_index=-100)


learning_rate, beta1, beta2, eps_adam = 1e-2, 0.85, 0.99, 1e-8  # microgpt's
# Adam's averages start at 0, so early steps are too big. PyTorch corrects that, MLX if asked.
optimizer = torch.optim.Adam(model.parameters(), learning_rate, betas=(beta1, beta2), eps=eps_adam)

for step in range(num_steps):
    input_ids, targets, pad_mask = make_batch(docs, step, batch_size)

    lr_t = learning_rate * (1 - step / num_steps)  # falls linearly towards 0
    optimizer.param_groups[0]["lr"] = lr_t
    loss_val = loss_fn(model, input_ids, targets, pad_mask)
    optimizer.zero_grad()
    loss_val.backward()
    optimizer.step()

    if step == 0 or (step + 1) % 10 == 0:
        print(f"step {step + 1:4d} / {num_steps:4d} | loss {loss_val.item():.4f}", flush=True)

# --- Inference ---
torch.set_grad_enabled(False)
temperature = 0.5  # below 1, likely tokens become likelier
print("\n--- inference (hallucinated names) ---")
for sample_idx in range(20):
    tokens = [BOS]
    for _ in range(block_size):
        logits = model(torch.tensor([tokens], device=device))[0, -1]  # for the next token
        token_id = torch.multinomial(F.softmax(logits / temperature, dim=-1), 1).item()
        if token_id == BOS:
            break
        tokens.append(token_id)  # the next prediction reads it

    name = "".join(uchars[token_id] for token_id in tokens[1:])
    print(f"sample {sample_idx + 1:2d}: {name}")
