"""The estimators, their fits and their predictions: the part of the package with scikit-learn.

A module may import those listed above it:

- ``sklearn_compat``: the private names of scikit-learn that the package uses.
- ``validation``: X, y and initial weights, checked and converted.
- ``regularisation``: the penalty and the bounds of each feature, as the parameters give them.
- ``parameters``: the estimator's parameters as one record, and the values allowed for them.
- ``targets``: labels, soft targets and class weights, encoded as y in [0, 1] and sample weights.
- ``samples``: X, y and sample_weight as one record, as given and as encoded.
- ``holdout``: samples held out for validation, and the mean loss on them.
- ``device``: arrays of other libraries than NumPy, such as those on a GPU, where they are.
- ``state``: the fitted attributes, and which of them a pickle contains.
- ``monitor``: early stopping, callbacks and interruption while a solver runs.
- ``diagnostics``: the warnings and the errors of a fit.
- ``fit``: a fit to samples in memory, and the steps that it shares with a fit to parts.
- ``chunks``: a fit to samples in parts, and `fit_from_chunks`.
- ``dask_blocks``: Dask collections as samples in parts.
- ``partial_fit``: one pass over one chunk of a stream.
- ``conversion``: conversions from and to scikit-learn's own linear classifiers.
- ``prediction``: predictions and the score.
- ``classifier``: `BCENeuronClassifier`.
- ``l1_min_c``: the largest C at which an L1 penalty makes all weights 0.
- ``path``: the minima at several values of C: `regularization_path`.
- ``folds``: fits of folds along a path, and the scores of the samples held out.
- ``leave_one_out``: scores of each sample by the fit without it.
- ``search``: the search for C: its fits, scores and choice.
- ``cross_validation``: `BCENeuronClassifierCV`.
- ``display``: `LossCurveDisplay`, `PathDisplay` and `CVDisplay`.
"""
