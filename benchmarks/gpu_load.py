"""A load for one GPU: multiplies matrices while it is told to, by lines "on", "off" and "end" on its input.

With PyTorch where that is installed, else with cuBLAS by ctypes (libcublas and libcudart 12 or 11). Says
"ready" once its memory is on the GPU, or in one sentence why it cannot work (exit code 1).
"""

import ctypes
import ctypes.util
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

SIDE = 4096  # the product of two such matrices takes some milliseconds and all of a GPU
Multiply = Callable[[], None]


def by_torch() -> Multiply | None:
    """One product and the wait for it, by PyTorch; None where it or its GPU is missing."""
    if find_spec("torch") is None:
        return None
    torch = import_module("torch")
    if not torch.cuda.is_available():
        return None
    left, right = (torch.rand(SIDE, SIDE, device="cuda") for _ in range(2))

    def multiply() -> None:
        torch.matmul(left, right)
        torch.cuda.synchronize()

    return multiply


def by_cublas() -> Multiply | None:
    """The same by cuBLAS's `cublasSgemm_v2` (cuBLAS library, user guide); None where it is missing."""
    libraries = [_library("cudart"), _library("cublas")]
    if None in libraries:
        return None
    cuda, cublas = libraries
    handle = ctypes.c_void_p()
    if not cuda or not cublas or cublas.cublasCreate_v2(ctypes.byref(handle)):
        return None
    size = SIDE * SIDE * 4
    places = [ctypes.c_void_p() for _ in range(3)]
    for place in places:
        if cuda.cudaMalloc(ctypes.byref(place), ctypes.c_size_t(size)):
            return None
        cuda.cudaMemset(place, 0x3C, ctypes.c_size_t(size))
    one, zero = ctypes.c_float(1.0), ctypes.c_float(0.0)
    side = ctypes.c_int(SIDE)

    def multiply() -> None:
        factors = (ctypes.byref(one), places[0], side, places[1], side, ctypes.byref(zero), places[2], side)
        failed = cublas.cublasSgemm_v2(handle, 0, 0, side, side, side, *factors)
        if failed or cuda.cudaDeviceSynchronize():
            raise RuntimeError(f"cuBLAS does not multiply: error {failed}")

    return multiply


def _library(name: str) -> ctypes.CDLL | None:
    for version in ("12", "11.0", "11"):
        try:
            return ctypes.CDLL(f"lib{name}.so.{version}")
        except OSError:
            continue
    return None


def main() -> int:
    """Works until "end"."""
    multiply = by_torch() or by_cublas()
    if multiply is None:
        print(
            "neither PyTorch with a GPU nor cuBLAS (libcublas, libcudart) was found: install one of them, "
            "or name a program of yours with --load"
        )
        return 1
    multiply()
    print("ready", flush=True)
    working, over = threading.Event(), threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            match line.strip():
                case "on":
                    working.set()
                case "off":
                    working.clear()
                case _:
                    break
        over.set()
        working.set()

    threading.Thread(target=listen, daemon=True).start()
    while working.wait() and not over.is_set():
        multiply()
    return 0


if __name__ == "__main__":
    sys.exit(main())
