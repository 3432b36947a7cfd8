r"""FEEL's optimum on tensors wherever they lie, as on a GPU: torch operations in float64, batched, certified.

The unknowns are those of :mod:`radioopt.feel.kernel_search`: z, the upload phase beyond the slowest device's least
compute time, and m, the common factor of upload times. A safeguarded Newton method finds them for all instances; where
the total batch is fixed, bracketed searches for z, and for m at every z, do.
One more Newton step, taken with the slopes held, is what is differentiated: the value of the step is rounding, and its
derivative is that of the optimum with the active set held (implicit differentiation). Second derivatives of it mean
nothing, and are refused.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

Tensor = torch.Tensor
#: instances whose numbers leave 1/LARGE ... LARGE are not answered: their cubes and ratios leave float64
LARGE = 1e75
#: relative rounding error allowed for in a bound
ROUNDING = 1e-15


def solve_batchsizes(
    fields: Mapping[str, Tensor], *, broadcast: bool, gap_tol: float = 1e-9, feasibility_tol: float = 1e-9
) -> dict[str, Tensor]:
    """Solve FEEL's problem.

    Parameters
    ----------
    fields : mapping of str to Tensor
        All fields of :class:`radioopt.feel.BatchsizeProblem`, in float64, within their domains: shape (..., K), or
        (..., 1) for those of an instance.
    broadcast : bool
        Whether the server broadcasts, rather than sending to one device after the other.
    gap_tol, feasibility_tol : float
        What an optimum may leave open; see :class:`radioopt.SolveOptions`.

    Returns
    -------
    dict of str to Tensor
        ``batchsize``, ``uplink_slot_s``, ``downlink_slot_s`` (..., K); ``upload_phase_s``, ``download_phase_s``,
        ``round_latency_s``, ``objective``, ``bound``, ``gap`` (...); NaN without a proven optimum. ``answered`` (...)
        says which have one.
    """
    with torch.no_grad():
        sound = _sound(fields)
    fields = {name: torch.where(sound, value, torch.ones_like(value)) for name, value in fields.items()}
    o, p = fields["base_time_s"], fields["seconds_per_sample"]
    low, high, c = fields["min_batchsize"], fields["max_batchsize"], fields["update_time_s"]
    a = fields["payload_bits"] / fields["uplink_rate_bps"]
    b = fields["payload_bits"] / fields["downlink_rate_bps"]
    deadline, total_given = fields["max_round_latency_s"], fields["total_batchsize"]
    fixed = total_given.isfinite()
    root, shortest = a.sqrt() * p.sqrt(), o + p * low
    slowest, last = shortest.amax(-1, keepdim=True), c.amax(-1, keepdim=True)
    to_low, to_high = slowest - shortest, slowest - (o + p * high)

    with torch.no_grad():
        rest = b.amax(-1, keepdim=True) if broadcast else _share_frame(b, last - c)
        z, m = _newton(a, p, root, low, high, o, to_low, to_high, slowest, last + rest)
        if fixed.any():
            wanted = torch.where(fixed, total_given, low.expand_as(a).sum(-1, keepdim=True))
            z_fixed, m_fixed = _newton_fixed(a, p, root, low, high, o, to_low, to_high, slowest, wanted)
            z, m = torch.where(fixed, z_fixed, z), torch.where(fixed, m_fixed, m)
        late = z + slowest + last + rest > deadline
        least = _share_frame(a, to_low)  # of the fastest round
        met = ~late | ~fixed & (slowest + least + last + rest <= deadline * (1 + 1e-12))
        met |= fixed & (z + slowest + last + rest <= deadline * (1 + 1e-12))
        late &= met & ~fixed
        at_deadline = torch.maximum(deadline - last - rest - slowest, least)
        z = torch.where(late, at_deadline, z)
        m = torch.where(late, _fill_frame(a, root, z + to_low, z + to_high), m)
        bottom = m * root >= z + to_low
        top = ~bottom & (m * root <= z + to_high)
        # a batch lands on a limit that it almost reaches
        top |= ~bottom & (m * root - (z + to_high) <= 4e-13 * z)
        free = ~(bottom | top)
        some = free.any(-1, keepdim=True)
        by_time, by_total = late & some, fixed & some

    if broadcast:
        rest = b.amax(-1, keepdim=True)
    else:
        weight = (b / (rest + (last - c)) ** 2).sum(-1, keepdim=True).detach()
        rest = rest + ((b / (rest + (last - c))).sum(-1, keepdim=True) - 1) / weight

    def times(z: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        """Upload times and batch sizes."""
        y = torch.where(free, m * root, torch.where(bottom, z + to_low, z + to_high))
        return y, torch.where(free, low + (z + to_low - y) / p, torch.where(bottom, low, high))

    y, batch = times(z, m)
    x = z + slowest + last + rest
    total, square = batch.sum(-1, keepdim=True), (a / (y * y)).sum(-1, keepdim=True)
    used = (a / y).sum(-1, keepdim=True)
    price = torch.where(by_time, deadline, x.detach())
    f1 = used.log()
    f2 = torch.where(by_time, x / price - 1, (x * m * m * square / (2 * total)).log())
    f2 = torch.where(by_total, (total / torch.where(fixed, total_given, 1.0)).log(), f2)
    f2 = torch.where(some, f2, torch.zeros_like(f2))
    with torch.no_grad():
        held = ~free
        j11 = -(a / (y * y) * held).sum(-1, keepdim=True) / used
        j12 = -(a / y * free).sum(-1, keepdim=True) / used
        more, less = (free / p).sum(-1, keepdim=True), (free * y / p).sum(-1, keepdim=True)
        j21 = 1 / x - 2 * (a / y**3 * held).sum(-1, keepdim=True) / square - more / total
        j22 = 2 - 2 * (a / (y * y) * free).sum(-1, keepdim=True) / square + less / total
        j21 = torch.where(by_time, 1 / price, torch.where(by_total, more / total, j21))
        j22 = torch.where(by_time, torch.zeros_like(x), torch.where(by_total, -less / total, j22))
        j21, j22 = torch.where(some, j21, torch.zeros_like(x)), torch.where(some, j22, torch.ones_like(x))
        over = 1 / (j11 * j22 - j12 * j21)
    z = z - (j22 * f1 - j12 * f2) * over
    m = m * torch.exp((j21 * f1 - j11 * f2) * over)
    y, batch = times(z, m)
    uplink = a / y
    found = {
        "batchsize": batch,
        "uplink_slot_s": uplink / uplink.sum(-1, keepdim=True) * fields["uplink_frame_s"],
    }
    if broadcast:
        found["downlink_slot_s"] = fields["downlink_frame_s"].expand_as(batch)
    else:
        downlink = b / (rest + (last - c))
        found["downlink_slot_s"] = downlink / downlink.sum(-1, keepdim=True) * fields["downlink_frame_s"]
    up, down = z + slowest, last + rest
    found |= {"upload_phase_s": up, "download_phase_s": down, "round_latency_s": up + down}
    found["objective"] = fields["loss_decay"] * batch.sum(-1, keepdim=True).sqrt() / (up + down)
    with torch.no_grad():
        objective, bound, residual = certify_batchsizes(fields, found, broadcast=broadcast)
        gap = (bound - objective) / objective
        answered = sound & met & (residual <= feasibility_tol) & (gap >= -feasibility_tol) & (gap <= gap_tol)
    found |= {"bound": bound, "gap": gap}
    per_device = ("batchsize", "uplink_slot_s", "downlink_slot_s")
    masked = {
        name: torch.where(answered, value, torch.full_like(value, torch.nan)) for name, value in found.items()
    }
    shown = {name: value if name in per_device else value[..., 0] for name, value in masked.items()}
    return shown | {"answered": answered[..., 0]}


def certify_batchsizes(
    fields: Mapping[str, Tensor], point: Mapping[str, Tensor], *, broadcast: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Measure a point and bound the optimum from it: the twin of :func:`radioopt.feel.certificate.evaluate`.

    Parameters
    ----------
    fields, broadcast
        As :func:`solve_batchsizes` has them.
    point : mapping of str to Tensor
        The three decisions, each (..., K).

    Returns
    -------
    objective, bound, residual : Tensor, shape (..., 1)
        The bound is infinite where the point proves nothing.
    """
    o, p, c = fields["base_time_s"], fields["seconds_per_sample"], fields["update_time_s"]
    low, high, deadline = fields["min_batchsize"], fields["max_batchsize"], fields["max_round_latency_s"]
    a = fields["payload_bits"] / fields["uplink_rate_bps"]
    b = fields["payload_bits"] / fields["downlink_rate_bps"]
    batch = point["batchsize"]
    phi, psi = (
        point["uplink_slot_s"] / fields["uplink_frame_s"],
        point["downlink_slot_s"] / fields["downlink_frame_s"],
    )

    def most(value: Tensor) -> Tensor:
        return value.amax(-1, keepdim=True)

    def add(value: Tensor) -> Tensor:
        return value.sum(-1, keepdim=True)

    up = most(o + p * torch.maximum(batch, low) + a / phi)
    if broadcast:
        down, least_down, used = most(b / psi) + most(c), most(b) + most(c), most(psi)
    else:
        v = psi * psi / b
        down, used = most(b / psi + c), add(psi)
        least_down = (add(v * c) + used**2) / add(v) * (1 - ROUNDING)
    total, latency = add(batch), up + down
    objective = fields["loss_decay"] * total.sqrt() / latency
    w = phi * phi / a
    weight, free = add(w), (low < batch) & (batch < high)
    inverse, unclamped, clamped = add(free / p), add(w * free), add(w * ~free)

    def dual(gamma: Tensor, level: Tensor, split: bool) -> Tensor:
        price = torch.where(free, gamma / p, level * w) if split else level * w
        ends = [price * (o + p * end) - gamma * end for end in (low, high)]
        end = torch.where(ends[0] < ends[1], low, high)
        end = torch.where(free, batch, end) if split else end
        inner = add(price * (o + p * end) - gamma * end)
        roots = add((price * a).sqrt()) ** 2
        size = add(price * (o.abs() + p * end) + gamma * end)
        return roots + inner - ROUNDING * (roots + size)

    # m^2 as the point implies it: from the free devices, or between those at their limits
    implied, apart = 1 / (p * w), low < high
    above = most(torch.where((batch <= low) & apart, implied, 0.0))
    below = -most(torch.where((batch >= high) & apart, -implied, -torch.inf))
    between = torch.where(above == 0, torch.where(below < torch.inf, below, 1.0), above.sqrt() * below.sqrt())
    between = torch.where((above > 0) & (below == torch.inf), above, between)
    ratio = torch.where(inverse > 0, inverse / unclamped, between)
    theta = latency / total
    kappas = [2 * theta * least_down + dual(theta**2, 2 * theta / weight, False)]
    price = theta**2 * (inverse + ratio * clamped) - 2 * theta
    priced = (2 * theta + price) * least_down - price * torch.maximum(deadline, latency) * (1 + ROUNDING)
    priced = priced + dual(theta**2, ratio * theta**2, True)
    kappas.append(torch.where((price > 0) & (latency >= deadline * (1 - 1e-9)), priced, 0.0))
    theta = 2 / (inverse + ratio * clamped)
    second = 2 * theta * least_down + dual(theta**2, ratio * theta**2, True)
    kappas.append(torch.where(inverse > 0, second, 0.0))
    kappa = kappas[0].fmax(kappas[1]).fmax(kappas[2])
    bound = torch.where(kappa > 0, fields["loss_decay"] / kappa.sqrt(), torch.inf)

    # total batch fixed: multipliers of the devices sum to one
    given = fields["total_batchsize"]
    fixed, wanted = given.isfinite(), torch.where(given.isfinite(), given, 1.0)
    gammas = 1 / (ratio * weight), 1 / (inverse + ratio * clamped)
    latencies = [
        dual(gamma, level, split) + gamma * wanted
        for gamma, level, split in ((gammas[0], 1 / weight, False), (gammas[1], ratio * gammas[1], True))
    ]
    shortest = least_down + latencies[0].fmax(latencies[1])
    of_fixed = torch.where(shortest > 0, fields["loss_decay"] * wanted.sqrt() / shortest, torch.inf)
    bound = torch.where(fixed, of_fixed, bound)
    floor = low.floor().clamp(min=1.0)
    residual = most(torch.maximum((floor - batch) / floor, (batch - high) / high))
    residual = torch.maximum(residual, torch.maximum(add(phi), used) - 1)
    residual = torch.maximum(residual, torch.where(fixed, (total - wanted).abs() / wanted, -torch.inf))
    late = torch.where(deadline < torch.inf, (latency - deadline) / deadline, -torch.inf)
    shares = ((phi > 0) & (psi > 0)).all(-1, keepdim=True)
    return objective, bound, torch.where(shares, torch.maximum(residual, late), torch.inf)


# -- how it is found -------------------------------------------------------------------------------------------


def _sound(fields: Mapping[str, Tensor]) -> Tensor:
    """Tell where float64 is wide enough."""
    a, b = (fields["payload_bits"] / fields[name] for name in ("uplink_rate_bps", "downlink_rate_bps"))
    p, high = fields["seconds_per_sample"], fields["max_batchsize"]
    small = torch.minimum(torch.minimum(a, b), p)
    parts = (a, b, high, fields["update_time_s"], p * high + fields["base_time_s"].abs())
    fits = small >= 1 / LARGE
    for part in parts:
        fits = fits & (part <= LARGE)
    return fits.all(-1, keepdim=True)


def _share_frame(size: Tensor, early: Tensor) -> Tensor:
    """Root z of sum size/(z + early) = 1: Newton on the reciprocal, monotone from the left."""
    total = size.sum(-1, keepdim=True)
    z = torch.maximum(
        (size - early).amax(-1, keepdim=True).clamp(min=0.0),
        total - (size * early).sum(-1, keepdim=True) / total,
    )
    for _ in range(60):
        y = z + early
        h, slope = (size / y).sum(-1, keepdim=True), (size / y / y).sum(-1, keepdim=True)
        step = h * (h - 1) / slope
        moves = step > 4e-16 * z
        if not moves.any():
            break
        z = torch.where(moves, z + step, z)
    return z


def _fill_frame(a: Tensor, root: Tensor, most: Tensor, least: Tensor) -> Tensor:
    """Factor m of upload times that fills the frame at a given phase: bracketed Newton on 1/h in ln m."""
    m_low, m_high = (a / root).amin(-1, keepdim=True), (most / root).amax(-1, keepdim=True)
    m = m_high
    for _ in range(200):
        y = m * root
        free = (y < most) & (y > least)
        y = torch.maximum(torch.minimum(y, most), least)
        h, slope = (a / y).sum(-1, keepdim=True), (a / y * free).sum(-1, keepdim=True)
        m_low, m_high = torch.where(h > 1, m, m_low), torch.where(h > 1, m_high, m)
        open_ = ((h - 1).abs() >= 1e-15) & (m_high - m_low > 4e-16 * m_high)
        if not open_.any():
            break
        step = m * torch.exp((h * (h - 1) / slope).clamp(-50, 50))
        inside = (slope > 0) & (m_low < step) & (step < m_high)
        m = torch.where(open_, torch.where(inside, step, m_low.sqrt() * m_high.sqrt()), m)
    return m


def _newton(
    a: Tensor,
    p: Tensor,
    root: Tensor,
    low: Tensor,
    high: Tensor,
    base: Tensor,
    to_low: Tensor,
    to_high: Tensor,
    slowest: Tensor,
    download: Tensor,
) -> tuple[Tensor, Tensor]:
    """Fill the frame and balance batch against latency, for all instances: see ``kernel_search.newton``."""

    def add(value: Tensor) -> Tensor:
        return value.sum(-1, keepdim=True)

    total, latency = add(a), slowest + download
    z_low = torch.maximum((a - to_low).amax(-1, keepdim=True).clamp(min=0), total - add(a * to_low) / total)
    z_low = z_low * (1 - 1e-13)
    z_high = (total + (-to_high).amax(-1, keepdim=True).clamp(min=0)) * (1 + 1e-13)
    m_low = (2 * add(low) * a.amin(-1, keepdim=True) / (z_high + latency)).sqrt() * (1 - 1e-13)
    m_high = (2 * add(high) * total / (z_low + latency)).sqrt() * (1 + 1e-13)
    roots, inverse = add(root / p), add(1 / p)
    z = download + 2 * (add(base / p) + roots * roots) / inverse - slowest  # exact where nobody is at a limit
    z, m = torch.maximum(torch.minimum(z, z_high), z_low), torch.maximum(torch.minimum(roots, m_high), m_low)
    best, best_z, best_m = torch.full_like(z, torch.inf), z, m
    stalled, before, earlier = torch.zeros_like(z), best, best
    done = torch.zeros_like(z, dtype=torch.bool)
    for passed in range(1, 201):
        x, most, least = z + latency, z + to_low, z + to_high
        y = m * root
        bottom = y >= most
        top = ~bottom & (y <= least)
        free, held = ~(bottom | top), bottom | top
        y = torch.where(bottom, most, torch.where(top, least, y))
        batch = add(torch.where(free, low + (most - y) / p, torch.where(bottom, low, high)))
        h, d2, d3 = add(a / y), add(a / (y * y) * held), add(a / y**3 * held)
        slope, inverse = add(root / p * free), add(free / p)
        numerator, denominator = x * (inverse + m * m * d2), 2 * batch
        g1, g2 = h.log(), (numerator / denominator).log()
        merit = torch.maximum(g1.abs(), g2.abs())
        stalled = torch.where(merit > 0.5 * best, stalled + 1, 0.0)
        better = ~done & (merit < best)
        best = torch.where(better, merit, best)
        best_z, best_m = torch.where(better, z, best_z), torch.where(better, m, best_m)
        done = done | (merit < 1e-13) | ((best < 1e-9) & (stalled >= 8))
        if done.all():
            break
        sign1, sign2 = torch.where(g1.abs() >= 1e-13, g1, g2), torch.where(g2.abs() >= 1e-13, g2, g1)
        sign1 = torch.where(z_high <= z_low * (1 + 4e-13), -sign2, sign1)
        above, under = (sign1 > 0) & (sign2 > 0), (sign1 < 0) & (sign2 < 0)
        z_low = torch.where(above, torch.maximum(z_low, z * (1 - 1e-13)), z_low)
        z_high = torch.where(under, torch.minimum(z_high, z * (1 + 1e-13)), z_high)
        more, less = ~above & ~under & (sign1 > 0), ~above & ~under & ~(sign1 > 0)
        m_low = torch.where(more, torch.maximum(m_low, m * (1 - 1e-13)), m_low)
        m_high = torch.where(less, torch.minimum(m_high, m * (1 + 1e-13)), m_high)
        r1, r2 = 1 - h, -g2
        j11, j12 = -d2 / h, -slope / (m * h)
        j21 = (inverse + m * m * d2 - 2 * m * m * d3 * x) / numerator - 2 * inverse / denominator
        j22 = 2 * m * m * d2 * x / numerator + 2 * m * slope / denominator
        determinant = j11 * j22 - j12 * j21
        dz, dm = (r1 * j22 - r2 * j12) / determinant, (j11 * r2 - j21 * r1) / determinant
        done = done | ((dz.abs() <= 4e-16 * z) & (dm.abs() <= 4e-16))
        z_new, m_new = z + dz, m * dm.clamp(-700, 700).exp()
        accepted = (z_low <= z_new) & (z_new <= z_high) & (m_low <= m_new) & (m_new <= m_high)
        accepted &= (determinant != 0) & (merit <= (torch.inf if passed <= 3 else 0.5) * earlier)
        in_z = (sign1 > 0) == (sign2 > 0)
        z_other = torch.where(in_z, z_low.sqrt() * z_high.sqrt(), z)
        m_other = torch.where(in_z, m, m_low.sqrt() * m_high.sqrt())
        z, m = torch.where(accepted, z_new, z_other), torch.where(accepted, m_new, m_other)
        earlier, before = before, merit
    return best_z, best_m


def _meet_total(
    p: Tensor, root: Tensor, low: Tensor, high: Tensor, z: Tensor, ends: tuple[Tensor, ...], wanted: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Factor m at which the batches have a total, at a given z: bracketed Newton, piecewise linear and decreasing.

    Returns m, the upload times, and where z is too small for the total.
    """
    most, least, m_low = z + ends[0], z + ends[1], ends[2]
    lowest, m_high = m_low, (most / root).amax(-1, keepdim=True)
    m, early = m_high, torch.zeros_like(z, dtype=torch.bool)
    for _ in range(200):
        y = m * root
        bottom = y >= most
        top = ~bottom & (y <= least)
        free = ~(bottom | top)
        batch = torch.where(free, low + (most - y) / p, torch.where(bottom, low, high)).sum(-1, keepdim=True)
        slope = (root / p * free).sum(-1, keepdim=True)
        m_low, m_high = torch.where(batch > wanted, m, m_low), torch.where(batch > wanted, m_high, m)
        early = (m <= lowest) & (batch < wanted * (1 - 1e-13))
        moves = ~early & ((batch - wanted).abs() > 1e-15 * wanted) & (m_high - m_low > 4e-16 * m_high)
        if not moves.any():
            break
        step = m + (batch - wanted) / slope
        step = torch.where((slope > 0) & (step < m_high), step, (m_low + m_high) / 2)
        m = torch.where(moves, torch.maximum(step, lowest), m)
    return m, torch.maximum(torch.minimum(m * root, most), least), early


def _newton_fixed(
    a: Tensor,
    p: Tensor,
    root: Tensor,
    low: Tensor,
    high: Tensor,
    base: Tensor,
    to_low: Tensor,
    to_high: Tensor,
    slowest: Tensor,
    wanted: Tensor,
) -> tuple[Tensor, Tensor]:
    """Least z for a fixed total batch: Newton on 1/h, h(z) = sum a/y with the m that meets the total."""

    def add(value: Tensor) -> Tensor:
        return value.sum(-1, keepdim=True)

    total, roots, inverse = add(a), add(root / p), add(1 / p)
    no_limits = (wanted + add(base / p) + roots * roots) / inverse - slowest
    z_low = torch.maximum((a - to_low).amax(-1, keepdim=True).clamp(min=0), total - add(a * to_low) / total)
    z_low = torch.maximum(z_low, no_limits) * (1 - 1e-13)
    z_high = (total + (-to_high).amax(-1, keepdim=True).clamp(min=0)) * (1 + 1e-13)
    ends = to_low, to_high, (a / root).amin(-1, keepdim=True) * (1 - 1e-12)
    z, m, settled = z_low, z_high, torch.zeros_like(z_low, dtype=torch.bool)
    for _ in range(200):
        now, y, early = _meet_total(p, root, low, high, z, ends, wanted)
        m = torch.where(settled, m, now)
        h, slope = add(a / y), add(a / y / y)
        h = torch.where(early, torch.inf, h)
        z_low, z_high = torch.where(h > 1, z, z_low), torch.where(h > 1, z_high, z)
        after = z + h * (h - 1) / slope
        after = torch.where((z_low < after) & (after < z_high), after, (z_low + z_high) / 2)
        settled = settled | ((after - z).abs() <= 2e-15 * z) | (z_high - z_low <= 4e-15 * z_high)
        if settled.all():
            break
        z = torch.where(settled, z, after)
    return z, m
