"""A small CNN that tells crosses from circles, drawn on the spot. `python examples/small_cnn.py [--device cuda]`

Convolution, pooling, flatten, linear: what chapter 8 of "Deep Learning with PyTorch" builds for birds and airplanes, on
pictures of 16 x 16 that need no download. With torch's imports instead it trains the same.
"""
import argparse

import tinygrad_edu as torch
from tinygrad_edu import nn
from tinygrad_edu.utils.data import DataLoader, TensorDataset, random_split

SIZE = 16


def pictures(count):
    """(count, 1, 16, 16) noisy drawings of circles (0) and crosses (1) of any place and radius."""
    labels = torch.randint(0, 2, (count,))
    centre = torch.rand(count, 2, 1, 1) * 6 + 5
    radius = torch.rand(count, 1, 1) * 2 + 2.5
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    dx, dy = x - centre[:, 0], y - centre[:, 1]                            # (count, 16, 16)
    near = dx ** 2 + dy ** 2 <= (radius + 0.5) ** 2
    circle = ((dx ** 2 + dy ** 2).sqrt() - radius).abs() < 0.7
    cross = ((dx.abs() - dy.abs()).abs() < 0.9) & near
    drawn = torch.where(labels.view(-1, 1, 1) == 1, cross, circle).float()
    return (drawn + 0.2 * torch.randn(count, SIZE, SIZE)).unsqueeze(1), labels


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                                      nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.classify = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(8 * 4 * 4, 2))

    def forward(self, x):
        return self.classify(self.features(x))


def accuracy(model, loader, device):
    model.eval()
    with torch.no_grad():
        right = sum(int((model(x.to(device)).argmax(dim=1) == y.to(device)).sum()) for x, y in loader)
    model.train()
    return right / len(loader.dataset)


def main(epochs=5, device="cpu"):
    torch.manual_seed(0)
    training, validation = random_split(TensorDataset(*pictures(800)), [640, 160])
    loader = DataLoader(training, batch_size=32, shuffle=True)
    model, loss_fn = Net().to(device), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for epoch in range(1, epochs + 1):
        for x, y in loader:
            loss = loss_fn(model(x.to(device)), y.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found = accuracy(model, DataLoader(validation, batch_size=80), device)
        print(f"epoch {epoch}, loss {loss.item():.4f}, validation accuracy {found:.3f}", flush=True)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    main(arguments.epochs, arguments.device)
