"""Boosted trees as plain arrays: grown by scikit-learn, kept and walked without it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS_AT_ONCE = 4096  # keeps the walk in the processor's cache and small in memory


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees one after another in arrays of nodes; what it predicts is `start` plus one leaf of each tree.

    `root` (trees,); for each node `feature` int16, `threshold`, `missing_left`, `left`, `right` int32 and
    `value`. A leaf is its own child on both sides.
    """

    start: float
    depth: int
    root: NDArray[np.int32]
    feature: NDArray[np.int16]
    threshold: NDArray[np.float64]
    missing_left: NDArray[np.bool_]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]

    def predict(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """One value for each row of `x` (rows, features); NaN goes where it went in training."""
        parts = [self._walk(x[at : at + ROWS_AT_ONCE]) for at in range(0, len(x), ROWS_AT_ONCE)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _walk(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        rows, width = x.shape
        flat = np.ascontiguousarray(x, np.float64).ravel()
        first = (np.arange(rows) * width)[:, None]
        node = np.broadcast_to(self.root, (rows, len(self.root)))
        for _ in range(self.depth):
            seen = flat[first + self.feature[node]]
            goes_left = (seen <= self.threshold[node]) | (np.isnan(seen) & self.missing_left[node])
            node = np.where(goes_left, self.left[node], self.right[node])
        return np.asarray(self.start + self.value[node].sum(axis=1), float)


def forest(estimator: Any) -> Forest:
    """The trees of a fitted HistGradientBoostingRegressor without categories.

    It reads what scikit-learn keeps privately; a test holds both predictions against each other.
    """
    trees = [stage[0].nodes for stage in estimator._predictors]
    sizes = [len(nodes) for nodes in trees]
    root = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
    nodes = np.concatenate(trees)
    own = np.arange(len(nodes), dtype=np.int32)
    begins = np.repeat(root, sizes)
    leaf = nodes["is_leaf"].astype(bool)
    return Forest(
        start=float(np.ravel(estimator._baseline_prediction)[0]),
        depth=int(nodes["depth"].max()) if len(nodes) else 0,
        root=root,
        feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int16),
        threshold=np.where(leaf, 0.0, nodes["num_threshold"]).astype(np.float64),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        left=np.where(leaf, own, nodes["left"].astype(np.int32) + begins).astype(np.int32),
        right=np.where(leaf, own, nodes["right"].astype(np.int32) + begins).astype(np.int32),
        value=np.where(leaf, nodes["value"], 0.0).astype(np.float64),
    )


def joined(forests: list[Forest]) -> Forest:
    """One forest whose prediction is the mean of these."""
    share = 1 / len(forests)
    shift = np.cumsum([0, *[len(each.value) for each in forests]])[:-1].astype(np.int32)
    return Forest(
        start=float(np.mean([each.start for each in forests])),
        depth=max(each.depth for each in forests),
        root=np.concatenate([f.root + s for f, s in zip(forests, shift, strict=True)]),
        feature=np.concatenate([f.feature for f in forests]),
        threshold=np.concatenate([f.threshold for f in forests]),
        missing_left=np.concatenate([f.missing_left for f in forests]),
        left=np.concatenate([f.left + s for f, s in zip(forests, shift, strict=True)]),
        right=np.concatenate([f.right + s for f, s in zip(forests, shift, strict=True)]),
        value=np.concatenate([f.value * share for f in forests]),
    )
