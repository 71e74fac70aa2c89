"""docs/NUMERICS.md implemented literally in plain NumPy, the bit-for-bit reference for the torch code."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F = np.float32
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
MIN_RANGE = F(2.0**-100)


def bf16(x: Floats) -> Floats:
    """float32 rounded to bfloat16, half to even, stored as float32."""
    bits = x.astype(F).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return bits.astype(np.uint32).view(F)


def weight_int8(w_OI: Floats) -> tuple[Integers, Floats]:
    a_O = np.abs(_finite(w_OI)).max(1)
    s_O = np.where(a_O < MIN_RANGE, F(1), a_O / F(127))
    return np.rint(w_OI * (F(1) / s_O)[:, None]).astype(np.int64), s_O


def weight_int4(w_OI: Floats) -> tuple[Integers, Floats]:
    outputs, inputs = _finite(w_OI).shape
    q_OI = np.zeros((outputs, inputs), np.int64)
    s_OG = np.ones((outputs, -(-inputs // 32)), F)
    for o in range(outputs):
        for g in range(s_OG.shape[1]):
            group = w_OI[o, 32 * g : 32 * g + 32]
            a = np.abs(group).max()
            s_OG[o, g] = F(1) if a < MIN_RANGE else bf16(np.array([a / F(8)], F))[0]
            q_OI[o, 32 * g : 32 * g + 32] = np.clip(np.rint(group * (F(1) / s_OG[o, g])), -8, 7)
    return q_OI, s_OG


def activations(x_TI: Floats) -> tuple[Integers, Floats, Integers]:
    """q [T, I], s [T], z [T]."""
    lo_T = np.minimum(F(0), _finite(x_TI).min(1))
    hi_T = np.maximum(F(0), x_TI.max(1))
    zero_T = hi_T - lo_T < MIN_RANGE
    m_T = np.where(zero_T, F(1), F(255) / np.where(zero_T, F(1), hi_T - lo_T))
    s_T = F(1) / m_T
    lo_T, hi_T = lo_T * m_T, hi_T * m_T
    from_low = (F(-128) + lo_T) + (F(127) + hi_T) > 0
    z_T = np.rint(np.clip(np.where(from_low, F(-128) - lo_T, F(127) - hi_T), F(-128), F(127)))
    q_TI = np.clip(np.rint(x_TI * (F(1) / s_T)[:, None]) + z_T[:, None], -128, 127)
    return q_TI.astype(np.int64), s_T, z_T.astype(np.int64)


def symmetric_activations(x_TI: Floats) -> tuple[Integers, Floats]:
    """q [T, I], s [T]."""
    s_T = np.maximum(np.abs(_finite(x_TI)).max(1), MIN_RANGE) / F(127)
    return np.rint(x_TI / s_T[:, None]).astype(np.int64), s_T


def symmetric_linear_int8(x_TI: Floats, q_OI: Integers, s_O: Floats, b_O: Floats | None) -> Floats:
    q_TI, s_T = symmetric_activations(x_TI)
    y_TO = ((q_TI @ q_OI.T).astype(F) * s_O) * s_T[:, None]
    return y_TO if b_O is None else y_TO + b_O


def linear_int8(x_TI: Floats, q_OI: Integers, s_O: Floats, b_O: Floats | None) -> Floats:
    q_TI, s_T, z_T = activations(x_TI)
    n_TO = q_TI @ q_OI.T - z_T[:, None] * q_OI.sum(1)
    y_TO = (n_TO.astype(F) * s_T[:, None]) * s_O
    return y_TO if b_O is None else y_TO + b_O


def linear_int4(x_TI: Floats, q_OI: Integers, s_OG: Floats, b_O: Floats | None) -> Floats:
    """The sum over groups in float64, which float32 approximates in any order."""
    q_TI, s_T, z_T = activations(x_TI)
    y_TO = np.zeros((len(x_TI), len(q_OI)))
    for g in range(s_OG.shape[1]):
        part = slice(32 * g, 32 * g + 32)
        n_TO = q_TI[:, part] @ q_OI[:, part].T - z_T[:, None] * q_OI[:, part].sum(1)
        y_TO += s_OG[:, g].astype(np.float64) * n_TO
    y_TO *= s_T[:, None]
    return (y_TO if b_O is None else y_TO + b_O).astype(F)


def _finite(x: Floats) -> Floats:
    assert x.dtype == F
    if not np.isfinite(x).all() or not np.isfinite(x.max() - x.min()):
        raise ValueError("not finite: there is no such integer")
    return x
