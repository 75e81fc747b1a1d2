# Bodies that attract each other, in floating point.
import math


def energy(bodies):
    total = 0.0
    for index, (position, speed, mass) in enumerate(bodies):
        total += mass * sum(v * v for v in speed) / 2
        for other, _, its_mass in bodies[index + 1 :]:
            total -= mass * its_mass / math.dist(position, other)
    return total


def advance(bodies, step):
    for index, (position, speed, mass) in enumerate(bodies):
        for other, its_speed, its_mass in bodies[index + 1 :]:
            between = [a - b for a, b in zip(position, other)]
            pull = step / sum(d * d for d in between) ** 1.5
            for axis, distance in enumerate(between):
                speed[axis] -= distance * its_mass * pull
                its_speed[axis] += distance * mass * pull
    for position, speed, _ in bodies:
        for axis in range(3):
            position[axis] += step * speed[axis]


bodies = [
    ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], 39.5),
    ([4.8, -1.2, -0.1], [0.6, 2.8, 0.0], 0.04),
    ([8.3, 4.1, -0.4], [-1.0, 1.8, 0.0], 0.01),
    ([12.9, -15.1, -0.2], [1.1, 0.9, 0.0], 0.002),
]
before = energy(bodies)
for _ in range(1000):
    advance(bodies, 0.001)
assert abs(energy(bodies) - before) < 0.01
