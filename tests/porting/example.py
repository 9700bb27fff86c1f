import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import torch

from tests.porting.port_check import Side, check  # beside a copy: from port_check import ...


class Theirs(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(4, 8, 3, padding=1)
        self.head = torch.nn.Linear(8, 5)

    def forward(self, x):  # (B, 4, T)
        x = torch.relu(self.conv(x)).swapaxes(1, 2)  # (B, T, 8)
        return self.head(x.mean(1))  # (B, 5)


class Ours(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 8, 3, padding=1)
        self.out = nn.Linear(8, 5)

    def __call__(self, x):  # (B, T, 4): MLX has the channels last
        x = mx.maximum(self.conv(x), 0)  # (B, T, 8)
        return self.out(x.mean(1))  # (B, 5)


mx.set_default_device(mx.cpu)
theirs, ours = Theirs().eval(), Ours().eval()  # without dropout
with torch.no_grad():
    for p in theirs.parameters():
        p.add_(0.1 * torch.randn_like(p))  # fresh weights hide mistakes
x, y = torch.randn(6, 4, 10), torch.randint(5, (6,))
X, Y = mx.array(x.swapaxes(1, 2)), mx.array(y)


def theirs_loss():
    return torch.nn.functional.cross_entropy(theirs(x), y)


def ours_loss():
    return nn.losses.cross_entropy(ours(X), Y, reduction="mean")


theirs_optimizer = torch.optim.AdamW(theirs.parameters(), 0.01, weight_decay=0.1)
ours_optimizer = optim.AdamW(0.01, weight_decay=0.1, bias_correction=True)


def theirs_step(i):  # the number of the step
    theirs_optimizer.zero_grad()
    loss = theirs_loss()
    loss.backward()
    theirs_optimizer.step()
    return loss.item()


def ours_step(i):
    loss, grads = nn.value_and_grad(ours, ours_loss)()
    ours_optimizer.update(ours, grads)
    mx.eval(ours.parameters(), ours_optimizer.state)
    return loss.item()


names = {"out.weight": "head.weight", "out.bias": "head.bias"}
names["conv.weight"] = ("conv.weight", lambda weight: weight.movedim(1, -1))
original = Side(theirs, lambda: theirs(x), theirs_loss, theirs_step)
differences = check(Side(ours, lambda: ours(X), ours_loss, ours_step), original, names)
