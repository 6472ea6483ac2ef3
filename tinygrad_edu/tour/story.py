"""The tour's steps: from tensors to a trained network, in the order of the tutorial.

Every step is prose and code; the code runs as it is printed. After the book "Deep Learning with PyTorch", Part I,
and the thermometer of its chapter 5: 11 readings of a thermometer in an unknown unit, beside degrees Celsius.
"""
from __future__ import annotations


def tensors(tell):
    tell.title("1. Tensors")
    tell.say("A tensor is an array of numbers of one type. `torch` is tinygrad_edu here: every name is torch's.")
    tell.run("""
        a = torch.ones(3, 3, dtype=torch.int)
        b = torch.ones(3, 3)
        a[0, 0]
        b.dtype, a.shape
        a + b
        """)


def views(tell):
    tell.title("2. Views and storage")
    tell.say("The numbers lie in a flat storage. A view is a shape, strides and an offset over it: no number moves, so "
             "writing through one is seen through all.")
    tell.run("""
        points = torch.tensor([[4.0, 1.0], [5.0, 3.0], [2.0, 1.0]])
        points.stride(), points.t().stride()
        second = points[1]
        second.storage_offset(), second.shape
        second[0] = 10.0
        points
        points.view(-1)
        a.zero_()
        """)


def bridges(tell):
    tell.title("3. NumPy, and files")
    tell.say("A tensor on the CPU and its numpy array share memory. `save` and `load` use torch's own file format.")
    tell.run("""
        array = np.arange(4.0)
        shared = torch.from_numpy(array)
        array[0] = 7.0
        shared
        file = io.BytesIO()
        torch.save({"points": points}, file)
        torch.load(io.BytesIO(file.getvalue()))
        """)


def devices(tell):
    tell.title("4. Devices")
    tell.say("The same programs run wherever a backend keeps the numbers: on the CPU, on a GPU, on a simulated one. "
             f"This tour computes on {tell.namespace['device']}.")
    tell.run("""
        torch.cuda.is_available()
        b.to(device=device).device
        """)


def names(tell):
    tell.title("5. Dimensions with names")
    tell.run("""
        imgs = torch.randn(2, 3, 4, 4, names=["batch", "channels", "rows", "columns"])
        imgs.names
        imgs.sum("batch").names
        imgs.align_to("rows", "columns", ...).shape
        """)


def loading(tell):
    tell.title("6. Data")
    tell.say("A thermometer whose unit nobody remembers: `t_u` is what it shows, `t_c` degrees Celsius. A Dataset has "
             "a length and items; a DataLoader makes shuffled batches of them.")
    tell.run("""
        t_c = torch.tensor([0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0])
        t_u = torch.tensor([35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4])
        dataset = torch.utils.data.TensorDataset(t_u, t_c)
        len(dataset), dataset[3]
        generator = torch.manual_seed(0)
        for batch_u, batch_c in torch.utils.data.DataLoader(dataset, batch_size=4, shuffle=True):
            print(batch_u, batch_c)
        """)


def by_hand(tell):
    tell.title("7. Learning, by hand")
    tell.say("A model with two parameters, a loss that says how wrong it is, and the derivative of that loss worked "
             "out on paper.")
    tell.run("""
        def model(t_u, w, b):
            return w * t_u + b
        def mse(t_p, t_c):
            return ((t_p - t_c) ** 2).mean()
        def grad_fn(t_u, t_c, t_p, w, b):
            dloss_dtp = 2 * (t_p - t_c) / t_p.size(0)
            return torch.stack([(dloss_dtp * t_u).sum(), (dloss_dtp * 1.0).sum()])
        w, b = torch.ones(()), torch.zeros(())
        t_p = model(t_u, w, b)
        mse(t_p, t_c)
        grad_fn(t_u, t_c, t_p, w, b)
        """)
    tell.say("Going downhill 1,000 times, on readings scaled by a tenth so that both parameters see gradients of the "
             "same size:")
    tell.run("""
        def train_by_hand(params, learning_rate=1e-2, n_epochs=1000):
            for epoch in epochs(n_epochs):
                t_p = model(t_un, *params)
                loss = mse(t_p, t_c)
                params = params - learning_rate * grad_fn(t_un, t_c, t_p, *params)
                if epoch % 100 == 0:
                    print('Epoch %d, Loss %f' % (epoch, loss.item()))
            return params
        t_un = 0.1 * t_u
        by_hand = train_by_hand(torch.tensor([1.0, 0.0]))
        by_hand
        """)


def autograd(tell):
    tell.title("8. Learning, with autograd")
    tell.say("A tensor that requires a gradient remembers what was computed from it. `backward` walks that tape from "
             "its end.")
    tell.run("""
        params = torch.tensor([1.0, 0.0], requires_grad=True)
        loss = mse(model(t_u, *params), t_c)
        loss
        loss.backward()
        params.grad
        """)
    tell.quiet("first_loss = loss")
    tell.run("""
        def train_with_autograd(params, learning_rate=1e-2, n_epochs=1000):
            for epoch in epochs(n_epochs):
                if params.grad is not None:
                    params.grad.zero_()
                loss = mse(model(t_un, *params), t_c)
                loss.backward()
                with torch.no_grad():
                    params -= learning_rate * params.grad
                if epoch % 500 == 0:
                    print('Epoch %d, Loss %f' % (epoch, loss.item()))
            return params
        train_with_autograd(torch.tensor([1.0, 0.0], requires_grad=True))
        """)


def optimizers(tell):
    tell.title("9. Optimizers")
    tell.say("The step downhill is an optimizer's job. SGD repeats what we did; Adam scales each parameter's step by "
             "itself.")
    tell.run("""
        def train(optimizer, params, n_epochs=1000):
            losses = []
            for epoch in epochs(n_epochs):
                loss = mse(model(t_un, *params), t_c)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                if epoch in (100, 200, 300, 500, 1000):
                    print('Epoch %d, Loss %f' % (epoch, losses[-1]))
            return losses
        params = torch.tensor([1.0, 0.0], requires_grad=True)
        sgd_losses = train(torch.optim.SGD([params], lr=1e-2), params)
        params
        params = torch.tensor([1.0, 0.0], requires_grad=True)
        adam_losses = train(torch.optim.Adam([params], lr=1e-1), params)
        params
        """)
    tell.say("Fahrenheit: the exact conversion is w = 5.5556 (for tenths of a degree) and b = -17.7778.")


def linear(tell):
    tell.title("10. Modules")
    tell.say("nn.Linear holds the parameters. Two of the eleven readings are kept aside, to see how the model does on "
             "what it never saw. What is drawn at random is drawn on the CPU, and then put on the device: so it is the "
             "same on all of them.")
    tell.run("""
        generator = torch.manual_seed(0)
        torch.set_default_device("cpu")
        shuffled = torch.randperm(11)
        train_indices, val_indices = shuffled[:-2], shuffled[-2:]
        t_un_train, t_c_train = t_un[train_indices].unsqueeze(1), t_c[train_indices].unsqueeze(1)
        t_un_val, t_c_val = t_un[val_indices].unsqueeze(1), t_c[val_indices].unsqueeze(1)
        linear_model = nn.Linear(1, 1).to(device)
        linear_model(t_un_val)
        def training_loop(model, optimizer, loss_fn, device=device, n_epochs=1000, every=200):
            x, y = t_un_train.to(device), t_c_train.to(device)
            x_val, y_val = t_un_val.to(device), t_c_val.to(device)
            losses = []
            for epoch in epochs(n_epochs):
                loss = loss_fn(model(x), y)
                with torch.no_grad():
                    loss_val = loss_fn(model(x_val), y_val)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append((loss.item(), loss_val.item()))
                if epoch % every == 0:
                    print(f"Epoch {epoch}, Training loss {losses[-1][0]:.4f}, Validation loss {losses[-1][1]:.4f}")
            return losses
        linear_losses = training_loop(linear_model, torch.optim.Adam(linear_model.parameters(), lr=1e-1), nn.MSELoss())
        linear_model.weight, linear_model.bias
        """)


def sequential(tell):
    tell.title("11. A network")
    tell.run("""
        seq_model = nn.Sequential(OrderedDict([
            ("hidden", nn.Linear(1, 8)),
            ("activation", nn.Tanh()),
            ("output", nn.Linear(8, 1))])).to(device)
        seq_model
        for name, param in seq_model.named_parameters():
            print(name, param.numel(), param.shape)
        network_losses = training_loop(seq_model, torch.optim.Adam(seq_model.parameters(), lr=1e-2), nn.MSELoss())
        """)


def subclass(tell):
    tell.title("12. A module of your own")
    tell.run("""
        class SubclassModel(nn.Module):
            def __init__(self, n_hidden=8):
                super().__init__()
                self.hidden = nn.Linear(1, n_hidden)
                self.output = nn.Linear(n_hidden, 1)
            def forward(self, input):
                return self.output(torch.tanh(self.hidden(input)))
        net = SubclassModel().to(device=device)
        print(f"Training on device {device}.")
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
        subclass_losses = training_loop(net, optimizer, nn.MSELoss())
        """)


STEPS = (tensors, views, bridges, devices, names, loading, by_hand, autograd, optimizers, linear, sequential, subclass)
