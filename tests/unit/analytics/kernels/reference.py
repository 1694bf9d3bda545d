"""Black (1976) in 50 digits, slow and plain: what the kernels are held against."""

import mpmath
from mpmath import mp, mpf

# Digits enough that the reference itself adds nothing to a comparison at 16.
_DIGITS = 50


def normal_cdf(z: mpf) -> mpf:
    """Give N(z) without losing digits in the lower tail."""
    return mpmath.erfc(-z / mpmath.sqrt(2)) / 2


def price(
    forward: float | mpf, strike: float | mpf, vol: float | mpf, years: float, rate: float | mpf, *, is_call: bool
) -> mpf:
    """Price by the formula as it is printed in textbooks."""
    with mp.workdps(_DIGITS):
        f, k, s = mpf(forward), mpf(strike), mpf(vol) * mpmath.sqrt(mpf(years))
        d1 = mpmath.log(f / k) / s + s / 2
        d2 = d1 - s
        side = 1 if is_call else -1
        undiscounted = side * (f * normal_cdf(side * d1) - k * normal_cdf(side * d2))
        return undiscounted * mpmath.exp(-mpf(rate) * mpf(years))


def implied_vol(
    price_inr: float, forward: float, strike: float, years: float, rate: float, guess: float, *, is_call: bool
) -> tuple[mpf, float]:
    """Solve for the volatility of exactly this float price.

    Returns:
        `(vol, condition)`: by how much a relative error of the time value is magnified in the volatility. No algorithm
        can be better than the condition times the rounding of its input.
    """
    with mp.workdps(_DIGITS):
        f, k, t = mpf(forward), mpf(strike), mpf(years)
        intrinsic = max((f - k) if is_call else (k - f), mpf(0))
        time_value = mpf(price_inr) * mpmath.exp(mpf(rate) * t) - intrinsic
        top = min(f, k)
        x = mpmath.log(f / k)
        s = mpf(guess) * mpmath.sqrt(t)

        def value_and_slope(s: mpf) -> tuple[mpf, mpf]:
            value = price(f, k, s, 1.0, 0.0, is_call=bool(k >= f))
            return value, mpmath.sqrt(f * k) * mpmath.npdf(0) * mpmath.exp(-(x * x / (s * s) + s * s / 4) / 2)

        for _ in range(8):
            value, slope = value_and_slope(s)
            # the logarithm of what is small, the value or its distance to the maximum, is nearly straight
            if time_value > top / 2:
                step = (mpmath.log(top - value) - mpmath.log(top - time_value)) * (top - value) / slope
            else:
                step = (mpmath.log(time_value) - mpmath.log(value)) * value / slope
            s += step
            if abs(step) < mpf(10) ** -35 * s:
                break
        _, slope = value_and_slope(s)
        return s / mpmath.sqrt(t), float(time_value / (s * slope))
