"""Deterministic synthetic weights and inputs for the WAVE golden files (numpy only)."""

import math
import re
import zlib

import numpy as np


def _canonical(name: str) -> str:
    # All BEATs layers share the relative-attention-bias table of layer 0.
    return re.sub(
        r"^beats\.encoder\.layers\.\d+\.self_attn\.relative_attention_bias",
        "beats.encoder.layers.0.self_attn.relative_attention_bias",
        name,
    )


def tensor(name: str, shape, salt: str = "") -> np.ndarray:
    """float32 value of the checkpoint tensor `name` (released-checkpoint key layout)."""
    name = _canonical(name)
    shape = tuple(int(s) for s in shape)
    rng = np.random.Generator(np.random.PCG64(zlib.crc32((salt + name).encode("utf-8"))))
    z = rng.standard_normal(shape)  # float64
    if name.endswith("embed_tokens.weight"):
        w = 0.5 * z
    elif name == "lm_head.weight":
        w = 0.02 * z
    elif name.endswith("audio_bos_eos_token.weight"):
        w = 0.1 * z
    elif name.endswith("relative_attention_bias.weight"):
        w = 0.5 * z
    elif name.endswith("grep_a"):
        w = 1.0 + 0.1 * z
    elif name.endswith("pos_conv.0.weight_g"):
        w = 0.5 * (1.0 + 0.1 * z)
    elif name.endswith("pos_conv.0.weight_v"):
        w = 0.1 * z
    elif len(shape) == 1 and name.endswith(".weight"):  # every LayerNorm / RMSNorm scale
        w = 1.0 + 0.1 * z
    elif len(shape) == 1:  # every bias
        w = 0.1 * z
    else:  # Linear / Conv: fan-in scaling
        w = z * (GAIN / math.sqrt(float(np.prod(shape[1:]))))
    return w.astype(np.float32)


GAIN = 1.2


def wave_int16(n: int, seed: int) -> np.ndarray:
    """Integer-only mono test signal: three triangle waves with a slow envelope, plus noise."""
    t = np.arange(n, dtype=np.int64)

    def tri(period, amp):
        p = (t * 2) % (2 * period)
        return amp * (2 * np.abs(p - period) - period) // period

    p1 = 37 + 11 * (seed % 7)
    p2 = 150 + 23 * (seed % 5)
    p3 = 11 + (seed % 3)
    env = np.abs(((t // 40) % 800) - 400)  # 0..400, period two seconds at 16 kHz
    x = tri(p1, 6000) * env // 400 + tri(p2, 4000) * (400 - env) // 400 + tri(p3, 1500)
    noise = np.random.Generator(np.random.PCG64(seed)).integers(-700, 701, size=n)
    return np.clip(x + noise, -32768, 32767).astype(np.int16)


def frames_uint8(num: int, h: int, w: int, seed: int) -> np.ndarray:
    """(num, h, w, 3) uint8 test clip: a moving gradient, a moving block, a little noise."""
    t = np.arange(num, dtype=np.int64)[:, None, None, None]
    y = np.arange(h, dtype=np.int64)[None, :, None, None]
    x = np.arange(w, dtype=np.int64)[None, None, :, None]
    c = np.arange(3, dtype=np.int64)[None, None, None, :]
    v = (x * (3 + c) * 256) // w + (y * (2 + seed % 3) * 256) // h + t * (9 + seed % 5) + c * 60 + seed * 17
    v = np.abs((v % 512) - 256) * 200 // 256
    by, bx = (7 * t + seed) % h, (5 * t + 3 * seed) % w
    inside = (np.abs(y - by) < h // 4) & (np.abs(x - bx) < w // 4)
    v = np.where(inside, 230 - 50 * c, v)
    noise = np.random.Generator(np.random.PCG64(1000 + seed)).integers(0, 20, size=(num, h, w, 3))
    return np.clip(v + noise, 0, 255).astype(np.uint8)
