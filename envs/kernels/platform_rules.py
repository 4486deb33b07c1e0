"""The platformer's physics: one tick for the player and for what walks, in whole numbers of 1/256 tile."""

from __future__ import annotations

import numpy as np

from envs.kernels import inline, kernel

EMPTY, SOLID, ENEMY, BRICK, QUESTION, COIN, TUBE, USED = range(8)
PLAYING, WON, LOST = 0, 1, 2

#: Units of length in a tile; places are of a box's upper left corner, speeds are units a tick.
TILE = 256
SHIFT = 8
#: What stops bodies, as a bit for each tile id: solid, brick, question, tube and the used block.
BLOCKS = 1 << SOLID | 1 << BRICK | 1 << QUESTION | 1 << TUBE | 1 << USED
#: What a head can bump.
BUMPED_TILES = 1 << BRICK | 1 << QUESTION | 1 << USED

PLAYER_WIDTH, PLAYER_HEIGHT = 160, 224
ENEMY_WIDTH, ENEMY_HEIGHT = 208, 200
WALK_SPEED, RUN_SPEED = 48, 80
WALK_GAIN, RUN_GAIN = 4, 5
FRICTION, SKID, AIR_TURN = 5, 10, 7
#: The speed of a jump, to which a quarter of the running speed is added.
JUMP_SPEED = 164
#: Gravity while the player rises with the jump button down, and otherwise.
HELD_GRAVITY, GRAVITY = 12, 30
FALL_SPEED = 144
BOUNCE_SPEED = 132
ENEMY_SPEED = 14
#: The player starts in one of so many columns on the left.
START_COLUMNS = 3
#: For how many ticks a bumped block shows that it was bumped.
BUMP_TICKS = 5

# A state: this header, the tiles row by row, and for each cell room for an enemy's x, y and motion.
HEIGHT, WIDTH, X, Y, SPEED_X, SPEED_Y, GROUND, HELD, FACING, OUTCOME = range(10)
COINS, BUMPED, BUMP_LEFT, ENEMIES = range(10, 14)
HEADER = 14
# An enemy's motion: 0 gone, -1 and 1 walking left and right, FALLING + its speed of fall.
GONE, FALLING = 0, 2

# The actions: what they say of left and right, the run button and the jump button.
DIRECTIONS = np.array([0, -1, 1, 0, 1, -1, 1, 1, -1, -1], np.int64)
RUNS = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1], np.int64)
JUMPS = np.array([0, 0, 0, 1, 1, 1, 0, 1, 0, 1], np.int64)


@inline
def blocked(tiles, height, width, row, column):
    """Tells whether a cell stops bodies: the sides do, above the level its top row goes on, below it there is nothing.

    Args:
        tiles: int32 (height * width,) of tile ids.
        height: rows of the level.
        width: columns of the level.
        row: any row, also outside.
        column: any column, also outside.
    """
    if column < 0 or column >= width:
        return True
    if row >= height:
        return False
    row = max(row, 0)
    return (BLOCKS >> tiles[row * width + column]) & 1 == 1


@inline
def steer(speed, direction, run, ground):
    """Returns the player's sideways speed after one tick of the given buttons."""
    if direction == 0:
        if ground == 0:
            return speed
        if speed > 0:
            return max(speed - FRICTION, 0)
        return min(speed + FRICTION, 0)
    top = RUN_SPEED if run else WALK_SPEED
    along = speed * direction
    if along < 0:
        along = min(along + (SKID if ground else AIR_TURN), RUN_GAIN)
    elif along < top:
        along = min(along + (RUN_GAIN if run else WALK_GAIN), top)
    elif along > top and ground:
        along = max(along - FRICTION, top)
    return along * direction


@inline
def move_player(ground_tiles, x, y, speed_x, speed_y, ground, held, action):
    """Moves the player by one tick: buttons, gravity, sideways, then up or down.

    Args:
        ground_tiles: (tiles, height, width), as `blocked` takes them.
        x: of the box's left edge.
        y: of its upper edge.
        speed_x: units a tick to the right.
        speed_y: units a tick down.
        ground: 1 if it stands.
        held: 1 if the jump button was down in the last tick.
        action: 0 to 9.

    Returns:
        x, y, speed_x, speed_y, ground, held after the tick; 1 if a jump began; the bumped cell or -1.
    """
    tiles, height, width = ground_tiles
    jump = JUMPS[action]
    speed_x = steer(speed_x, DIRECTIONS[action], RUNS[action], ground)
    jumped = 0
    if jump and ground and not held:
        speed_y = -(JUMP_SPEED + abs(speed_x) // 4)
        jumped = 1
    gravity = HELD_GRAVITY if jump and speed_y < 0 else GRAVITY
    speed_y = min(speed_y + gravity, FALL_SPEED)

    if speed_x != 0:
        x += speed_x
        column = (x + PLAYER_WIDTH - 1) >> SHIFT if speed_x > 0 else x >> SHIFT
        for row in range(y >> SHIFT, ((y + PLAYER_HEIGHT - 1) >> SHIFT) + 1):
            if blocked(tiles, height, width, row, column):
                x = column * TILE - PLAYER_WIDTH if speed_x > 0 else (column + 1) * TILE
                speed_x = 0
                break

    y += speed_y
    left, right = x >> SHIFT, (x + PLAYER_WIDTH - 1) >> SHIFT
    ground = 0
    bumped = -1
    if speed_y > 0:
        row = (y + PLAYER_HEIGHT - 1) >> SHIFT
        if blocked(tiles, height, width, row, left) or blocked(tiles, height, width, row, right):
            y = row * TILE - PLAYER_HEIGHT
            speed_y = 0
            ground = 1
    elif speed_y < 0:
        row = y >> SHIFT
        middle = (x + PLAYER_WIDTH // 2) >> SHIFT
        column = -1
        if blocked(tiles, height, width, row, middle):
            column = middle
        elif blocked(tiles, height, width, row, left):
            column = left
        elif blocked(tiles, height, width, row, right):
            column = right
        if column >= 0:
            y = (row + 1) * TILE
            speed_y = 0
            if row >= 0 and (BUMPED_TILES >> tiles[row * width + column]) & 1:
                bumped = row * width + column
    return x, y, speed_x, speed_y, ground, jump, jumped, bumped


@inline
def cannot_walk(ground_tiles, x, y, direction):
    """Tells whether an enemy on its feet would walk into a wall or over a ledge."""
    tiles, height, width = ground_tiles
    x += direction * ENEMY_SPEED
    column = (x + ENEMY_WIDTH - 1) >> SHIFT if direction > 0 else x >> SHIFT
    row = (y + ENEMY_HEIGHT - 1) >> SHIFT
    return blocked(tiles, height, width, row, column) or not blocked(tiles, height, width, row + 1, column)


@inline
def move_enemy(ground_tiles, x, y, motion):
    """Returns an enemy's x, y and motion one tick later."""
    tiles, height, width = ground_tiles
    if motion == GONE:
        return x, y, motion
    if motion >= FALLING:
        speed = min(motion - FALLING + GRAVITY, FALL_SPEED)
        y += speed
        row = (y + ENEMY_HEIGHT - 1) >> SHIFT
        if blocked(tiles, height, width, row, (x + ENEMY_WIDTH // 2) >> SHIFT):
            return x, row * TILE - ENEMY_HEIGHT, -1
        if y >= height * TILE:
            return x, y, GONE
        return x, y, FALLING + speed
    if cannot_walk(ground_tiles, x, y, motion):
        return x, y, -motion
    return x + motion * ENEMY_SPEED, y, motion


@inline
def touches(x, y, enemy_x, enemy_y):
    """Tells whether the player's box and an enemy's overlap."""
    return (
        x < enemy_x + ENEMY_WIDTH
        and enemy_x < x + PLAYER_WIDTH
        and y < enemy_y + ENEMY_HEIGHT
        and enemy_y < y + PLAYER_HEIGHT
    )


@inline
def stomps(before, y, enemy_y):
    """Tells whether a player who touches an enemy came down on it: its feet were above the enemy's middle."""
    return y > before and before + PLAYER_HEIGHT <= enemy_y + ENEMY_HEIGHT // 2


@inline
def on_block(width, bumped, enemy_x, enemy_y):
    """Tells whether an enemy stands on the cell that a head bumps."""
    left = (bumped % width) * TILE
    return enemy_y + ENEMY_HEIGHT == (bumped // width) * TILE and enemy_x < left + TILE and left < enemy_x + ENEMY_WIDTH


@inline
def middle_column(x):
    """Returns the column that the player's middle is in."""
    return (x + PLAYER_WIDTH // 2) >> SHIFT


@inline
def find_start(tiles, height, width):
    """Returns the cell where the player starts, or -1: the lowest place to stand in the first column that has one."""
    for column in range(min(START_COLUMNS, width - 1)):
        for row in range(height - 2, -1, -1):
            cell = row * width + column
            free = (BLOCKS >> tiles[cell]) & 1 == 0 and tiles[cell] != ENEMY
            if free and (BLOCKS >> tiles[cell + width]) & 1:
                return cell
    return -1


@inline
def begin_state(level, state):
    """Fills in the state of a level; tells whether there is somewhere to start."""
    height, width = level.shape
    cells = height * width
    for i in range(state.size):
        state[i] = 0
    for row in range(height):
        for column in range(width):
            state[HEADER + row * width + column] = level[row, column]
    state[HEIGHT], state[WIDTH] = height, width
    start = find_start(state[HEADER : HEADER + cells], height, width)
    state[BUMPED] = -1
    state[FACING] = 1
    state[GROUND] = 1
    enemies = HEADER + cells
    count = 0
    for cell in range(cells):
        if state[HEADER + cell] == ENEMY:
            state[HEADER + cell] = EMPTY
            state[enemies + 3 * count] = (cell % width) * TILE + (TILE - ENEMY_WIDTH) // 2
            state[enemies + 3 * count + 1] = (cell // width + 1) * TILE - ENEMY_HEIGHT
            state[enemies + 3 * count + 2] = FALLING
            count += 1
    state[ENEMIES] = count
    if start < 0:
        return False
    state[X] = (start % width) * TILE + (TILE - PLAYER_WIDTH) // 2
    state[Y] = (start // width + 1) * TILE - PLAYER_HEIGHT
    return True


@kernel
def begin(level, state):
    """Fills in the state at the beginning of a level.

    Args:
        level: uint8 (height, width).
        state: int32 (HEADER + 4 * height * width,), written.

    Returns:
        Whether the level has somewhere to start.
    """
    return begin_state(level, state)


@inline
def _collect(after, tiles, height, width):
    """Takes the coins that the player's box is over."""
    x, y = after[X], after[Y]
    for row in range(max(y >> SHIFT, 0), min((y + PLAYER_HEIGHT - 1) >> SHIFT, height - 1) + 1):
        for column in range(x >> SHIFT, ((x + PLAYER_WIDTH - 1) >> SHIFT) + 1):
            if 0 <= column < width and tiles[row * width + column] == COIN:
                tiles[row * width + column] = EMPTY
                after[COINS] += 1


@kernel
def step(state, action, after):
    """Plays one tick; a finished game stays as it is.

    Args:
        state: int32 (n,).
        action: 0 to 9.
        after: int32 (n,), written.
    """
    for i in range(state.size):
        after[i] = state[i]
    if state[OUTCOME] != PLAYING:
        return
    height, width = np.int64(state[HEIGHT]), np.int64(state[WIDTH])
    tiles = after[HEADER : HEADER + height * width]
    enemies = after[HEADER + height * width :]
    ground_tiles = (tiles, height, width)
    before = np.int64(state[Y])
    x, y, speed_x, speed_y, ground, held, _, bumped = move_player(
        ground_tiles,
        np.int64(state[X]),
        before,
        np.int64(state[SPEED_X]),
        np.int64(state[SPEED_Y]),
        np.int64(state[GROUND]),
        np.int64(state[HELD]),
        action,
    )
    after[X], after[Y], after[HELD] = x, y, held
    if DIRECTIONS[action] != 0:
        after[FACING] = DIRECTIONS[action]
    after[BUMP_LEFT] = max(state[BUMP_LEFT] - 1, 0)
    if bumped >= 0:
        after[BUMPED], after[BUMP_LEFT] = bumped, BUMP_TICKS
        if tiles[bumped] == QUESTION:
            tiles[bumped] = USED
            after[COINS] += 1
    struck = False
    stomped = False
    for i in range(state[ENEMIES]):
        enemy_x, enemy_y, motion = np.int64(enemies[3 * i]), np.int64(enemies[3 * i + 1]), np.int64(enemies[3 * i + 2])
        if bumped >= 0 and motion != GONE and on_block(width, bumped, enemy_x, enemy_y):
            motion = np.int64(GONE)
        enemy_x, enemy_y, motion = move_enemy(ground_tiles, enemy_x, enemy_y, motion)
        if motion != GONE and touches(x, y, enemy_x, enemy_y):
            if stomps(before, y, enemy_y):
                stomped = True
                motion = np.int64(GONE)
            else:
                struck = True
        enemies[3 * i], enemies[3 * i + 1], enemies[3 * i + 2] = enemy_x, enemy_y, motion
    if stomped:
        speed_y, ground = -BOUNCE_SPEED, 0
    after[SPEED_X], after[SPEED_Y], after[GROUND] = speed_x, speed_y, ground
    _collect(after, tiles, height, width)
    if struck or y >= height * TILE:
        after[OUTCOME] = LOST
    elif middle_column(x) >= width - 1:
        after[OUTCOME] = WON


@kernel
def step_all(states, actions, after):
    """Writes the states of many games after one action each.

    Args:
        states: int32 (n, length), not changed.
        actions: int64 (n,).
        after: int32 (n, length), filled in.
    """
    for i in range(len(states)):
        step(states[i], actions[i], after[i])
