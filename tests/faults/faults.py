"""The kinds of faults that the library is built to survive, by number.

A test says with ``@pytest.mark.fault(number, "what is tried")`` which of them it tries. The page
docs/reliability.md is made from these marks by scripts/reliability.py.
"""

ROOMS = {
    "Processes and storage": range(1, 15),
    "Data": range(15, 25),
    "Numbers": range(25, 37),
    "Resources and reproducibility": range(37, 42),
    "Doors: tables, options, results, diagnostics": range(42, 60),
}

FAULTS = {
    1: "The process is killed at any moment: the run goes on to the same bits.",
    2: "It is killed between writing a file and renaming it: the last whole file counts, and what "
    "is left over goes.",
    3: "SIGINT and SIGTERM: the state is saved, the exit code is the shell's; twice: at once.",
    4: "The disk is full: the error says how much room was needed, and files before stay.",
    5: "A file is cut short or a bit of it flips: the file is named, nothing wrong is loaded.",
    6: "A file brings code (a pickle, an array of objects): refused, and nothing of it runs.",
    7: "A file claims more than it holds, or unpacks to more than memory: refused before anything "
    "is allocated.",
    8: "Names that climb out of a folder, absolute names, links: nothing outside is touched.",
    9: "A file is of another shape, manifold, dtype or version: the fields that differ are named.",
    10: "A folder cannot be written: said within a second, before anything is compiled.",
    11: "Two runs in one folder: the second is told of the first; a lock dies with its owner.",
    12: "A download stops or brings other bytes: the cache is untouched, address and digest are "
    "named.",
    13: "Two processes fill one cache or want one lock at the same time.",
    14: "The order of the data is a function of seed and step alone.",
    15: "Rows that are not finite: the rows are named.",
    16: "No rows, one row, fewer rows than a batch: defined, and never without an end.",
    17: "Points off the manifold: refused, and projected where it is rounding.",
    18: "Degrees and radians: the unit is stated, not guessed.",
    19: "Latitudes beyond 90°, exchanged columns: the column is named.",
    20: "Longitudes of either convention are one place; poles are places.",
    21: "Repeated points on both sides of a split: counted and kept together.",
    22: "Reflections and matrices that are no rotations; both signs of a quaternion.",
    23: "The wrong sheet of a hyperboloid, points outside the ball; angles wrap.",
    24: "Odd dtypes, byte-order marks, line ends and delimiters: read, or named.",
    25: "exp and log are inverse in both precisions, with finite derivatives everywhere.",
    26: "log at the cut locus: finite, the shortest way, and the same every time.",
    27: "Tangent vectors of any length end on the manifold.",
    28: "Heat kernels: accuracy, mass, semigroup, heat equation.",
    29: "Samplers have the moments and laws of what they sample.",
    30: "Losses have the true score as their minimiser.",
    31: "Densities have mass one; a solver at its limit is an error.",
    32: "Ten thousand steps do not leave the manifold.",
    33: "A loss that is not finite: step and rows are named, the state before stays.",
    34: "Entropic transport with ε → 0 or disjoint supports: finite, or told with its residual.",
    35: "Precision matrices stay positive definite.",
    36: "Impossible times, clocks and sizes: an error at construction.",
    37: "The same seed in fresh processes: the same bytes.",
    38: "Out of memory: the argument to lower is named, the last checkpoint is whole.",
    39: "Memory and compilations do not grow with steps or calls.",
    40: "Home and cache cannot be written, or there is no home.",
    41: "float64, bfloat16 and other devices agree to what is stated.",
    42: "Names of columns against their position, in one table and between two.",
    43: "Header and body of a table read by two rules.",
    44: "Digits lost in a cast before anything looks at them.",
    45: "Products read as ambient numbers.",
    46: "A bridge whose drawn end misses the held-out one.",
    47: "Calls under jit, vmap and grad.",
    48: "A finished training lost to a number that could not be written.",
    49: "An estimate whose error bar is far too small.",
    50: "A flag and a loop with two criteria.",
    51: "A refused command that changes a good folder.",
    52: "Codes for missing values, constant columns, columns that count.",
    53: "Half a result under its final name.",
    54: "Links in the folder of a run.",
    55: "A limit that one format ignores.",
    56: "An interruption outside the training loop.",
    57: "Costs that jump with a size or with each new batch size.",
    58: "Names from users in mathematics, HTML and terminals.",
    59: "Numeric options without a range.",
}

UNTESTED: dict[int, str] = {}
"""Why a number has no test; what stands here for a number that has one is not printed."""
