"""What the findings of a page mean, in a few words; docs/metrics.md says more."""

MEANINGS: dict[str, tuple[str, str]] = {
    "likelihood": (
        "held-out likelihood",
        "Points that were kept aside while fitting are scored by the density of the model: the "
        "negative log-likelihood (NLL) is the mean of −log p over them, in nats, with respect to "
        "Riemannian volume. Lower is better; a difference of 0.7 nats is a factor of two in the "
        "density at a typical point. It is held against a plain law without structure.",
    ),
    "mass": (
        "total mass",
        "A density must have the integral 1. If it is larger, likelihoods are too good to be true; "
        "if it cannot be measured, they are to be taken with care.",
    ),
    "nearest_ratio": (
        "nearest ratio",
        "The share of draws that lie much nearer to one training point than to the second nearest. "
        "Copies have a large share; so have some data by themselves, so the same share beside "
        "held-out points is what it is held against.",
    ),
    "copying": (
        "copying",
        "Draws are copies if they lie nearer to the training points than to as many held-out "
        "points. If training and held-out points changed places, a model that has not memorised "
        "would not notice: the share of such exchanges that look as suspicious is the p-value.",
    ),
    "likelihood_gap": (
        "likelihood gap",
        "How much more likely the training points are than the test points, in nats. A model that "
        "remembers its training points prefers them.",
    ),
    "distances": (
        "distances between laws",
        "MMD, energy distance, sliced and exact Wasserstein distance ask whether draws have the "
        "law of held-out data. Each is held against what two sets of real points of the same size "
        "show. Copies of training points pass these tests: read them beside those of memory.",
    ),
    "leak": (
        "leaks",
        "Test points that are training points too reward memory: a likelihood on them says little "
        "about new points.",
    ),
    "arrival": (
        "arrival",
        "A bridge must carry the points of one end to the law of the other. Carried points are "
        "compared with held-out ones there along many directions; a miss is a difference that "
        "chance does not explain. The ratio of Wasserstein distances is 1 for a perfect bridge.",
    ),
}
