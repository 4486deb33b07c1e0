"""The steps of episodes: who acts, what is measured anew, and from metrics by way of losses to rewards and ends."""

from __future__ import annotations

from envs.kernels import kernel
from envs.kernels.draw import draw_next

#: The rows of `intervals`, float64 (4, n, m): the metrics' least values, their ranges, and the ends of their targets.
LOWER, SPAN, LOW, HIGH = range(4)

#: The rows of `metrics`, float32 (4, n, m): as measured now and at the start, and both scaled to [0, 1].
NOW, START, NOW_SCALED, START_SCALED = range(4)

#: The rows of `counters`, int64 (5, n).
CHANGES, STEPS, MOST_CHANGES, MOST_STEPS, REMAINING = range(5)

#: The rows of `losses`, float64 (2, n): the loss now, and the loss up to which improvement has been paid.
CURRENT, PAID = range(2)


#: What `prepare` returns instead of a number of lanes: an action is out of range, or an episode is over.
INVALID, OVER = -1, -2


@kernel
def prepare(actions, sizes, done, all_must_act, states, active, uniforms):
    """Begins a step, or refuses it before anything has changed.

    Args:
        actions: int64 (n * k,), k numbers a lane.
        sizes: int64 (k,), the numbers of each kind are at least 0 and below its size.
        done: bool (n,), the lanes whose episodes are over.
        all_must_act: whether such a lane is an error.
        states: uint64 (n,), the lanes' random streams; those of the lanes that act are moved on.
        active: bool (n,), written: the lanes that act.
        uniforms: float64 (n, count), written where lanes act: their next random numbers.

    Returns:
        How many lanes do not act; INVALID or OVER.
    """
    count = sizes.shape[0]
    for lane in range(done.shape[0]):
        for i in range(count):
            action = actions[lane * count + i]
            if action < 0 or action >= sizes[i]:
                return INVALID
    resting = 0
    for lane in range(done.shape[0]):
        resting += done[lane]
    if resting and all_must_act:
        return OVER
    for lane in range(done.shape[0]):
        active[lane] = not done[lane]
        if active[lane]:
            state = states[lane]
            for i in range(uniforms.shape[1]):
                state, uniforms[lane, i] = draw_next(state)
            states[lane] = state
    return resting


@kernel
def select(levels, changed, begun, lanes, chosen):
    """Collects the levels that are to be measured.

    Args:
        levels: uint8 (n, cells).
        changed: int64 (n,), how many tiles changed in each lane.
        begun: bool (n,), the lanes that begin an episode.
        lanes: int64 (n,), its front written: the lanes that changed or begin, in order.
        chosen: uint8 (n, cells), its front written: their levels.

    Returns:
        How many there are.
    """
    count = 0
    for lane in range(levels.shape[0]):
        if changed[lane] != 0 or begun[lane]:
            lanes[count] = lane
            for cell in range(levels.shape[1]):
                chosen[count, cell] = levels[lane, cell]
            count += 1
    return count


@kernel
def appraise(lanes, fresh, begun, intervals, finite, weights, metrics, losses, met, starts):
    """Brings some lanes up to date with freshly measured metrics.

    Args:
        lanes: int64 (k,), the lanes measured.
        fresh: float32 (k, m), what they measure now.
        begun: bool (n,), the lanes that begin an episode.
        intervals: float64 (4, n, m).
        finite: bool (n, m), whether a target can be met.
        weights: float64 (m,).
        metrics: float32 (4, n, m), written.
        losses: float64 (2, n), written: the weighted sum of distances to the targets.
        met: bool (n,), written: whether every finite target is met.
        starts: float32 (n, m), its front written: what the lanes measured when their episodes began.
    """
    for i in range(lanes.shape[0]):
        lane = lanes[i]
        total = 0.0
        reached = True
        for column in range(weights.shape[0]):
            value = fresh[i, column]
            distance = 0.0
            if value < intervals[LOW, lane, column]:
                distance = intervals[LOW, lane, column] - value
            if value > intervals[HIGH, lane, column]:
                distance += value - intervals[HIGH, lane, column]
            total += weights[column] * distance
            if distance > 0.0 and finite[lane, column]:
                reached = False
            share = (value - intervals[LOWER, lane, column]) / intervals[SPAN, lane, column]
            if share < 0.0:
                share = 0.0
            elif share > 1.0:
                share = 1.0
            metrics[NOW, lane, column] = value
            metrics[NOW_SCALED, lane, column] = share
            if begun[lane]:
                metrics[START, lane, column] = value
                metrics[START_SCALED, lane, column] = share
            starts[i, column] = metrics[START, lane, column]
        losses[CURRENT, lane] = total
        if begun[lane]:
            losses[PAID, lane] = total
        met[lane] = reached


@kernel
def conclude(
    active,
    changed,
    counters,
    goal,
    finished,
    reward_every,
    losses,
    success,
    met,
    met_suffices,
    done,
    rewards,
    flags,
    budget,
):
    """Ends a step: counts it, pays it and decides which episodes are over.

    Args:
        active: bool (n,), the lanes that acted; of the others nothing is counted, paid or decided.
        changed: int64 (n,), how many tiles the step changed.
        counters: int64 (5, n), brought up to date.
        goal: bool (n,), whether the level is as good as is asked.
        finished: bool (n,), whether there is nothing left to do.
        reward_every: pay every so many steps and at the end; 0 only at the end.
        losses: float64 (2, n), brought up to date.
        success: bool (n,), whether the published rule holds.
        met: bool (n,), whether every finite target is met.
        met_suffices: whether that alone is the strict success, or only together with the published rule.
        done: bool (n,), written: whether the episode is over.
        rewards: float64 (n,), written.
        flags: bool (4, n), written: terminated, truncated, success as published, strict success.
        budget: float32 (n, 1), written: the share of the change budget that is left.

    Returns:
        How many episodes are over.
    """
    ended = 0
    for lane in range(active.shape[0]):
        reward = 0.0
        over = False
        late = False
        if active[lane]:
            counters[CHANGES, lane] += changed[lane]
            counters[REMAINING, lane] -= changed[lane]
            counters[STEPS, lane] += 1
            over = goal[lane] or finished[lane] or counters[REMAINING, lane] <= 0
            late = not over and counters[STEPS, lane] >= counters[MOST_STEPS, lane]
            if over or late or (reward_every > 0 and counters[STEPS, lane] % reward_every == 0):
                reward = losses[PAID, lane] - losses[CURRENT, lane]
                losses[PAID, lane] = losses[CURRENT, lane]
        ended += over or late
        done[lane] = over or late
        rewards[lane] = reward
        flags[0, lane] = over
        flags[1, lane] = late
        flags[2, lane] = success[lane]
        flags[3, lane] = met[lane] and (met_suffices or success[lane])
        budget[lane, 0] = counters[REMAINING, lane] / counters[MOST_CHANGES, lane]
    return ended
