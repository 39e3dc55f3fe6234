"""Times PyTorch's attention and products of the sizes that a step of the transformer has."""

import torch
from torch.nn.functional import linear, scaled_dot_product_attention


def seconds(work, times=10):
    work()
    torch.cuda.synchronize()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(times):
        work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3 / times


def report(what, operations, work):
    took = seconds(work)
    print(f"{what}: {1e3 * took:.3f} ms, {operations / took / 1e12:.0f} TFLOP/s")


def random(*size):
    return torch.randn(*size, device="cuda", dtype=torch.bfloat16)


def main():
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}")
    for tokens in (12788, 9716, 7568):
        q, k, v = (random(1, 24, tokens, 128) for _ in range(3))
        work = lambda q=q, k=k, v=v: scaled_dot_product_attention(q, k, v)  # noqa: E731
        report(f"attention of {tokens}", 4 * tokens**2 * 3072, work)
    for rows in (12288, 9216, 7168, 500):
        for outputs, inputs in ((9216, 3072), (3072, 3072), (12288, 3072), (3072, 12288)):
            x, w, b = random(rows, inputs), random(outputs, inputs), random(outputs)
            work = lambda x=x, w=w, b=b: linear(x, w, b)  # noqa: E731
            report(f"product {rows}x{inputs}x{outputs}", 2 * rows * inputs * outputs, work)


if __name__ == "__main__":
    main()
