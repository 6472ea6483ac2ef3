"""A character GPT on a page: learns to write like a few lines. `python examples/char_gpt.py [--device cuda]`

The model is that of GPT-2, small: token and position embeddings, blocks of causal self-attention and an MLP, each added
to its input, and a linear layer to the next character. With torch's imports instead it trains the same.
"""
import argparse

import tinygrad_edu as torch
from tinygrad_edu import nn
from tinygrad_edu.nn import functional as F

TEXT = """The tape remembers what was done, and in which order it was done.
The walk goes back along the tape, and meets the latest first.
A leaf adds up what comes to it, and keeps the sum as its gradient.
The step goes down along the slope, and then the tape is made anew.
"""
CONTEXT, SIZE, HEADS, LAYERS, BATCH, STEPS = 32, 48, 4, 2, 16, 400


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(SIZE), nn.LayerNorm(SIZE)
        self.qkv, self.project = nn.Linear(SIZE, 3 * SIZE), nn.Linear(SIZE, SIZE)
        self.mlp = nn.Sequential(nn.Linear(SIZE, 4 * SIZE), nn.GELU(), nn.Linear(4 * SIZE, SIZE))

    def attention(self, x):
        batch, time, size = x.shape
        q, k, v = (t.view(batch, time, HEADS, size // HEADS).transpose(1, 2) for t in self.qkv(x).split(size, dim=2))
        scores = q @ k.transpose(-2, -1) / (size // HEADS) ** 0.5          # (batch, heads, time, time)
        future = torch.ones(time, time, dtype=torch.bool, device=x.device).triu(1)
        weights = F.softmax(scores.masked_fill(future, float("-inf")), dim=-1)
        return self.project((weights @ v).transpose(1, 2).reshape(batch, time, size))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.token, self.place = nn.Embedding(vocabulary, SIZE), nn.Embedding(CONTEXT, SIZE)
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.norm, self.head = nn.LayerNorm(SIZE), nn.Linear(SIZE, vocabulary)

    def forward(self, tokens):                                             # (batch, time)
        x = self.token(tokens) + self.place(torch.arange(tokens.shape[1], device=tokens.device))
        return self.head(self.norm(self.blocks(x)))                        # (batch, time, vocabulary)

    @torch.no_grad()
    def write(self, tokens, count):
        for _ in range(count):
            logits = self(tokens[:, -CONTEXT:])[:, -1]
            tokens = torch.cat([tokens, torch.multinomial(F.softmax(logits, dim=-1), 1)], dim=1)
        return tokens


def main(steps=STEPS, device="cpu"):
    torch.manual_seed(0)
    letters = sorted(set(TEXT))
    data = torch.tensor([letters.index(c) for c in TEXT], device=device)
    model = GPT(len(letters)).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(steps + 1):
        starts = torch.randint(len(data) - CONTEXT, (BATCH,)).tolist()
        x = torch.stack([data[s:s + CONTEXT] for s in starts])
        y = torch.stack([data[s + 1:s + 1 + CONTEXT] for s in starts])
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step:4d}, loss {loss.item():.4f}", flush=True)
    written = model.write(data[:1].unsqueeze(0), 200)[0].tolist()
    print("".join(letters[i] for i in written))
    return loss.item()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    main(arguments.steps, arguments.device)
