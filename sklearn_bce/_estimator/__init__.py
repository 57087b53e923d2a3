"""All that knows scikit-learn: the estimator and what surrounds a fit.

- ``sklearn_compat``: every private name of scikit-learn in use.
- ``parameters``: the values that parameters may have.
- ``validation``: X, y and starting points, checked.
- ``targets``: labels, soft targets and class weights as numbers.
- ``samples``: the samples that a loss is a sum over.
- ``holdout``: samples held out, and the loss on them.
- ``state``: the attributes that a fit leaves, and what is pickled of them.
- ``monitor``: how a fit is followed: early stopping, callbacks, Ctrl-C.
- ``diagnostics``: the warnings and errors of a fit that has not ended at a minimum.
- ``fit``: What ``fit`` does.
- ``chunks``: What ``fit_from_chunks`` does.
- ``partial_fit``: What ``partial_fit`` does.
- ``prediction``: What a fitted estimator answers.
- ``classifier``: the estimator.
- ``l1_min_c``: the C at which an L1 norm leaves no weight.
- ``display``: a picture of the loss curves.
- ``dask_blocks``: blocks of Dask collections as parts of the samples.
"""
