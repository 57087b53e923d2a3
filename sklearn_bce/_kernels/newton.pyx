# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""Newton's method for a smooth F over an array that fits into the cache, in one call.

The steps, the line search and the stopping test are those of the general loop, with a factorisation
of the curvature in each step. Where that loop would need a safeguard, the call ends: the general
loop goes on from the point reached. ``reference.py`` has the call in NumPy.
"""
from libc.math cimport fabs, isfinite, sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from scipy.linalg.cython_blas cimport daxpy, ddot, dgemv, dsyrk, dtrsv
from scipy.linalg.cython_lapack cimport dpotrf, dpotrs

cdef extern from "sigmoid.h" nogil:
    double bce_loss(const double *y, const double *z, const double *weight, int64_t stride,
                    double *slope, double *curvature, int64_t n)

cdef enum:
    # Bytes of a chunk of rows of √h·Z, of which BLAS adds the products to H:
    # python -m benchmarks.tuning CHUNK_BYTES
    CHUNK_BYTES = 262144

cdef enum End:
    HANDED_OVER = 0
    CONVERGED = 1
    MAX_ITER = 2

cdef double EPSILON = 2.0 ** -52


cdef struct Limits:
    double tol
    int max_iter
    double worth_a_search
    double sufficient_decrease
    double sum_rounding
    double max_step_length
    double step_length_tol
    int max_search_steps
    double trusted_pivot
    double stale_margin
    double stale_step_fraction
    double model_region
    double negligible_decrement
    double flat_share
    int most_flat
    double least_mean_square
    double largest_mean_square


cdef struct Problem:
    int n                  # samples
    int p                  # features
    int size               # length of θ
    int stride             # of the weights: 0 or 1
    const double *y
    const double *weight
    const double *offset   # NULL if there is none
    double *Z              # (n, size) rows: standardised features, and a 1 for the intercept
    double *l2             # (size,) strengths of the penalty ½ Σ l2·θ²


cdef struct Point:
    double *theta          # (size,)
    double *z              # (n,) linear outputs
    double *slope          # (n,) p ∂L/∂z
    double *curvature      # (n,) p ∂²L/∂z²
    double *gradient       # (size,)
    double value           # F


cdef double *allocate(Py_ssize_t n) except NULL:
    """Return an array of n numbers, at least one; the caller frees it."""
    cdef double *array = <double *> malloc(max(n, 1) * sizeof(double))
    if array == NULL:
        raise MemoryError
    return array


cdef inline double weight_of(Problem *F, Py_ssize_t i) noexcept nogil:
    return F.weight[i * F.stride]


cdef bint moments(const double[:, :] X, Problem *F, bint fit_intercept, Limits *limits,
                  double *shift, double *scale, double *square) noexcept nogil:
    """Set shift and scale to mean and deviation of the columns; scale is 0 for constant columns.

    Moments are taken about the first row with weight, as `Moments` does; square is scratch. Returns
    False if a mean square is not finite, or has left the range in which nothing is lost.
    """
    cdef Py_ssize_t i, j, row = 0
    cdef double p, x
    while row < F.n and not weight_of(F, row) > 0:
        row += 1
    memset(shift, 0, F.p * sizeof(double))
    memset(square, 0, F.p * sizeof(double))
    for i in range(F.n):
        p = weight_of(F, i)
        for j in range(F.p):
            x = X[i, j] - X[row, j] if fit_intercept else X[i, j]
            shift[j] += p * x
            square[j] += p * x * x
    for j in range(F.p):
        if square[j] == 0:
            for i in range(F.n):
                if X[i, j] != (X[row, j] if fit_intercept else 0.0) and weight_of(F, i) > 0:
                    return False  # not constant: its squares are below the range of float64
        elif not limits.least_mean_square < square[j] < limits.largest_mean_square:
            return False
        if fit_intercept:
            scale[j] = sqrt(max(square[j] - shift[j] * shift[j], 0.0))
            shift[j] += X[row, j]
        else:
            scale[j] = sqrt(square[j])
            shift[j] = 0.0
    return True


cdef bint standardise(const double[:, :] X, Problem *F, const double *shift,
                      const double *scale) noexcept nogil:
    """Set Z to the standardised columns of X, and a 1; constant columns are 0 without rounding.

    Returns False if an element of X is not finite.
    """
    cdef Py_ssize_t i, j
    cdef double *row
    cdef double total = 0.0
    for i in range(F.n):
        row = F.Z + i * F.size
        for j in range(F.p):
            row[j] = (X[i, j] - shift[j]) / scale[j] if scale[j] > 0 else 0.0 * X[i, j]
            total += row[j]
        if F.size > F.p:
            row[F.p] = 1.0
    return isfinite(total)


cdef void outputs(Problem *F, double *theta, double *z) noexcept nogil:
    """Set z to Zθ, without the offset."""
    cdef int one = 1
    cdef double unit = 1.0, nothing = 0.0
    dgemv("T", &F.size, &F.n, &unit, F.Z, &F.size, theta, &one, &nothing, z, &one)


cdef void evaluate(Problem *F, Point *at) noexcept nogil:
    """Set the value of F, and slopes and curvatures of the samples, given θ and z of a point."""
    cdef Py_ssize_t j
    cdef double penalty = 0.0
    at.value = bce_loss(F.y, at.z, F.weight, F.stride, at.slope, at.curvature, F.n)
    for j in range(F.size):
        penalty += F.l2[j] * at.theta[j] * at.theta[j]
    at.value += penalty / 2


cdef void differentiate(Problem *F, Point *at) noexcept nogil:
    """Set the gradient of F at a point that has been evaluated."""
    cdef int one = 1
    cdef Py_ssize_t j
    cdef double unit = 1.0, nothing = 0.0
    dgemv("N", &F.size, &F.n, &unit, F.Z, &F.size, at.slope, &one, &nothing, at.gradient, &one)
    for j in range(F.size):
        at.gradient[j] += F.l2[j] * at.theta[j]


cdef bint factorise(Problem *F, const double *curvature, double *chunk, Limits *limits, double *H,
                    double *diagonal) noexcept nogil:
    """Set H to the Cholesky factor of the curvature of F; return whether each pivot is trusted.

    The curvatures of the samples are given. ``chunk`` and ``diagonal``, (size,), are scratch.
    """
    cdef Py_ssize_t i, j, start = 0
    cdef int n, info, rows = <int> max(1, CHUNK_BYTES // (F.size * <int> sizeof(double)))
    cdef double root, unit = 1.0
    cdef double *source
    cdef double *target
    memset(H, 0, F.size * F.size * sizeof(double))
    while start < F.n:
        n = <int> min(<Py_ssize_t> rows, F.n - start)
        for i in range(n):
            root = sqrt(curvature[start + i])
            source, target = F.Z + (start + i) * F.size, chunk + i * F.size
            for j in range(F.size):
                target[j] = root * source[j]
        dsyrk("L", "N", &F.size, &n, &unit, chunk, &F.size, &unit, H, &F.size)
        start += n
    for j in range(F.size):
        diagonal[j] = H[j * F.size + j] + F.l2[j]
        if diagonal[j] == 0:  # a constant column has no effect
            diagonal[j] = 1.0
        H[j * F.size + j] = diagonal[j]
    dpotrf("L", &F.size, H, &F.size, &info)
    if info:
        return False
    for j in range(F.size):
        root = H[j * F.size + j]
        if not root * root > limits.trusted_pivot * F.size * EPSILON * diagonal[j]:
            return False
    return True


cdef void solve(Problem *F, double *H, double *vector) noexcept nogil:
    """Multiply a vector by the inverse of the curvature, given its factor."""
    cdef int one = 1, info
    dpotrs("L", &F.size, &one, H, &F.size, vector, &F.size, &info)


cdef double direction(Problem *F, double *H, double *gradient, double *d) noexcept nogil:
    """Set d to Newton's direction; return the squared decrement −gᵀd, in nats."""
    cdef int one = 1
    cdef Py_ssize_t j
    for j in range(F.size):
        d[j] = -gradient[j]
    solve(F, H, d)
    return -ddot(&F.size, gradient, &one, d, &one)


cdef double secant_direction(Problem *F, double *H, Point *before, Point *at, double *d,
                             double *scratch) noexcept nogil:
    """Set d to the direction at a point by the factor of the point before; return λ².

    The inverse is corrected by the change of the gradient along the step, as of L-BFGS with one
    pair. ``scratch`` has 2·size elements.
    """
    cdef int one = 1
    cdef Py_ssize_t j
    cdef double along, first, last
    cdef double *step = scratch
    cdef double *change = scratch + F.size
    for j in range(F.size):
        step[j] = at.theta[j] - before.theta[j]
        change[j] = at.gradient[j] - before.gradient[j]
        d[j] = at.gradient[j]
    along = ddot(&F.size, step, &one, change, &one)
    if along > 0:
        first = -ddot(&F.size, step, &one, d, &one) / along
        daxpy(&F.size, &first, change, &one, d, &one)
    solve(F, H, d)
    if along > 0:
        last = -first - ddot(&F.size, change, &one, d, &one) / along
        daxpy(&F.size, &last, step, &one, d, &one)
    for j in range(F.size):
        d[j] = -d[j]
    return -ddot(&F.size, at.gradient, &one, d, &one)


cdef void move(Problem *F, Point *before, const double *d, const double *dz, double t,
               Point *at) noexcept nogil:
    """Set θ and z of a point to those of another, moved by t along d."""
    cdef Py_ssize_t i, j
    for j in range(F.size):
        at.theta[j] = before.theta[j] + t * d[j]
    for i in range(F.n):
        at.z[i] = before.z[i] + t * dz[i]


cdef double exact_step_length(Problem *F, Point *before, const double *d, const double *dz,
                              Point *at, Limits *limits) noexcept nogil:
    """Return the t that minimises F along d, to a few percent; see `Ray.exact_step_length`.

    The point ``at`` is scratch.
    """
    cdef Py_ssize_t i, j, k
    cdef double low = 0.0, high = limits.max_step_length, t = 1.0, trial, first, second
    cdef double along = 0.0, square = 0.0
    for j in range(F.size):
        along += F.l2[j] * before.theta[j] * d[j]
        square += F.l2[j] * d[j] * d[j]
    for k in range(limits.max_search_steps):
        for i in range(F.n):
            at.z[i] = before.z[i] + t * dz[i]
        bce_loss(F.y, at.z, F.weight, F.stride, at.slope, at.curvature, F.n)
        first, second = along + t * square, square
        for i in range(F.n):
            first += at.slope[i] * dz[i]
            second += at.curvature[i] * dz[i] * dz[i]
        if first < 0:
            low = t
        else:
            high = t
        trial = t - first / second if second > 0 else high
        if not low < trial < high:
            trial = (low + high) / 2
        if fabs(trial - t) <= limits.step_length_tol * t:
            return trial
        t = trial
    return t


cdef bint falls(Problem *F, double value, Point *at, const double *d, double decrement,
                Limits *limits) noexcept nogil:
    """Return whether F falls sufficiently in a step; see `LineSearch.sufficient_decrease`.

    The step leads along d from a point with the given value. The gradient at its end is computed if
    the decrease alone does not tell.
    """
    cdef int one = 1
    cdef double decrease = value - at.value
    if decrease >= limits.sufficient_decrease * decrement:
        return True
    if not decrease >= -limits.sum_rounding * value:
        return False
    differentiate(F, at)
    return fabs(ddot(&F.size, at.gradient, &one, <double *> d, &one)) <= decrement / 2


cdef bint leaves_region(Problem *F, Point *before, Point *at, double decrement,
                        Limits *limits) noexcept nogil:
    """Return whether the curvature of a sample changes much in the last step.

    See `InMemoryObjective.leaves_model_region`.
    """
    cdef Py_ssize_t i
    cdef double change, owed = 0.0
    for i in range(F.n):
        change = at.z[i] - before.z[i]
        if fabs(change) > limits.model_region:
            owed += before.curvature[i] * change * change
    return owed > limits.negligible_decrement * decrement


cdef bint flat_samples_dominate(Problem *F, Point *at, const double *at_factor, double *H,
                                double decrement, bint is_stale, Limits *limits,
                                double *row) noexcept nogil:
    """Return whether samples that have become flat may make up a direction of the curvature.

    See `InMemoryObjective.samples_that_dominate`; here no further sample is looked at once the
    share of the flat samples is too large. ``row``, (size,), is scratch.
    """
    cdef Py_ssize_t i, n_flat = 0
    cdef int one = 1
    cdef double of_step, leverage = 0.0
    for i in range(F.n):
        of_step = at.curvature[i]
        if is_stale:
            of_step = max(of_step, at_factor[i])
        if not (weight_of(F, i) > 0 and at.curvature[i] * at.curvature[i] <= decrement * of_step):
            continue
        n_flat += 1
        memcpy(row, F.Z + i * F.size, F.size * sizeof(double))
        dtrsv("L", "N", "N", &F.size, H, &F.size, row, &one)
        leverage += at_factor[i] * ddot(&F.size, row, &one, row, &one)
        if n_flat > limits.most_flat or leverage > limits.flat_share:
            return True
    return False


cdef inline void exchange(Point *a, Point *b) noexcept nogil:
    cdef Point other = a[0]
    a[0], b[0] = b[0], other


cdef void give_memory(Problem *F, Point *point, double **memory) noexcept nogil:
    """Give a point its arrays, from the beginning of the memory, which is moved on."""
    point.theta, memory[0] = memory[0], memory[0] + F.size
    point.gradient, memory[0] = memory[0], memory[0] + F.size
    point.z, memory[0] = memory[0], memory[0] + F.n
    point.slope, memory[0] = memory[0], memory[0] + F.n
    point.curvature, memory[0] = memory[0], memory[0] + F.n


cdef End iterate(Problem *F, Limits *limits, double *memory, double[::1] loss_curve, int *n_iter,
                 int *n_evaluations, double[::1] theta) noexcept nogil:
    """Minimise F from θ, which is set to the end.

    ``loss_curve`` receives F after each step. ``memory`` has `memory_of` elements.
    """
    cdef Point at, new
    cdef Py_ssize_t i
    cdef double decrement, stale, left, previous = 0.0, t
    cdef double *H
    cdef double *d
    cdef double *dz
    cdef double *scratch
    cdef double *chunk
    cdef bint is_last, is_far, is_stale
    cdef End end = MAX_ITER
    give_memory(F, &at, &memory)
    give_memory(F, &new, &memory)
    H, memory = memory, memory + F.size * F.size
    d, memory = memory, memory + F.size
    dz, memory = memory, memory + F.n
    scratch, chunk = memory, memory + 3 * F.size
    memcpy(at.theta, &theta[0], F.size * sizeof(double))
    outputs(F, at.theta, at.z)
    if F.offset != NULL:
        for i in range(F.n):
            at.z[i] += F.offset[i]
    evaluate(F, &at)
    differentiate(F, &at)
    n_evaluations[0] = 1
    while n_iter[0] < limits.max_iter and not at.value <= limits.tol:
        end = HANDED_OVER
        if not factorise(F, at.curvature, chunk, limits, H, scratch):
            break
        decrement = direction(F, H, at.gradient, d)
        if not (decrement >= 0 and isfinite(decrement) and isfinite(at.value)):
            break
        left = decrement / 2
        if decrement < previous:
            left *= decrement / previous
        is_last = decrement / 2 <= limits.tol
        is_far = limits.worth_a_search * at.value < decrement / 2
        outputs(F, d, dz)
        t = exact_step_length(F, &at, d, dz, &new, limits) if is_far else 1.0
        move(F, &at, d, dz, t, &new)
        evaluate(F, &new)
        n_evaluations[0] += 1
        if not falls(F, at.value, &new, d, decrement, limits):
            break
        is_stale = False
        if not is_last:
            differentiate(F, &new)
            if left <= limits.tol and not is_far:
                stale = secant_direction(F, H, &at, &new, d, scratch)
                is_stale = (0 <= stale
                            and stale * stale / 2 <= limits.stale_step_fraction * limits.tol * decrement
                            and limits.stale_margin * stale / 2 <= limits.tol)
        loss_curve[n_iter[0]] = new.value
        n_iter[0] += 1
        if is_stale:
            # The step before it is not kept: both are one step, as of `FinalStaleStep`.
            outputs(F, d, dz)
            move(F, &new, d, dz, 1.0, &new)
            left = new.value
            evaluate(F, &new)
            n_evaluations[0] += 1
            if not falls(F, left, &new, d, stale, limits):
                exchange(&at, &new)
                break
            loss_curve[n_iter[0] - 1] = new.value
        exchange(&at, &new)  # `new` is now the point before
        if is_last or is_stale:
            if not (leaves_region(F, &new, &at, decrement, limits)
                    or flat_samples_dominate(F, &at, new.curvature, H,
                                             stale if is_stale else decrement, is_stale, limits,
                                             scratch)):
                end = CONVERGED
            break
        previous, end = decrement, MAX_ITER
    if at.value <= limits.tol:
        end = CONVERGED
    memcpy(&theta[0], at.theta, F.size * sizeof(double))
    return end


cdef Py_ssize_t memory_of(Problem *F) noexcept nogil:
    """Return the number of elements that `iterate` uses."""
    cdef Py_ssize_t chunk = max(<Py_ssize_t> F.size, CHUNK_BYTES // <Py_ssize_t> sizeof(double))
    return 7 * F.n + F.size * (F.size + 8) + chunk


def newton_in_cache(const double[:, :] X, const double[::1] y, const double[:] normalised_weight,
                    const double[:] offset, bint fit_intercept, const double[:] l2,
                    limits, double[::1] theta, double[::1] shift, double[::1] scale,
                    double[::1] loss_curve):
    """Minimise a smooth F from weights of 0, in coordinates of centred and scaled columns.

    Parameters
    ----------
    X : (n_samples, n_features) samples, of any strides; they need not be finite
    y : (n_samples,) targets in [0, 1]
    normalised_weight : (n_samples,) weights p of sum 1; a stride of 0 is allowed
    offset : (n_samples,) known terms of z, or None if there are none
    fit_intercept : whether θ has an entry for the intercept, the last one
    l2 : (n_features,) strengths of the penalty, in the units of X
    limits : the numbers of `Limits`, a named tuple of these names in this order
    theta : (size,) θ to start from, whose weights are 0; changed to the end
    shift, scale : (n_features,) changed to μ and σ; σ is 0 for a constant column
    loss_curve : (max_iter,) changed: F in nats after each step

    Returns
    -------
    end : 1 if F is within tol of its minimum; 2 if max_iter steps were done; 0 if the general loop
        is to go on from θ
    n_iter : number of steps
    n_evaluations : number of passes over the samples; 0 if the samples are for the general loop
    """
    cdef Problem F
    cdef Limits of
    cdef int n_iter = 0, n_evaluations = 0
    cdef End end = HANDED_OVER
    cdef double *memory
    cdef double *rest
    cdef Py_ssize_t i, j
    (of.tol, of.max_iter, of.worth_a_search, of.sufficient_decrease, of.sum_rounding,
     of.max_step_length, of.step_length_tol, of.max_search_steps, of.trusted_pivot,
     of.stale_margin, of.stale_step_fraction, of.model_region, of.negligible_decrement,
     of.flat_share, of.most_flat, of.least_mean_square, of.largest_mean_square) = limits
    F.n, F.p, F.size = <int> X.shape[0], <int> X.shape[1], <int> theta.shape[0]
    F.y, F.weight = &y[0], &normalised_weight[0]
    F.stride = <int> (normalised_weight.strides[0] // <Py_ssize_t> sizeof(double))
    F.offset = NULL
    memory = allocate(F.n * F.size + F.size + F.n + memory_of(&F))
    F.Z, F.l2 = memory, memory + F.n * F.size
    rest = F.l2 + F.size
    with nogil:
        if offset is not None:
            for i in range(F.n):
                rest[i] = offset[i]
            F.offset, rest = rest, rest + F.n
        if (moments(X, &F, fit_intercept, &of, &shift[0], &scale[0], F.l2)
                and standardise(X, &F, &shift[0], &scale[0])):
            for j in range(F.p):
                F.l2[j] = l2[j] / (scale[j] * scale[j]) if scale[j] > 0 else l2[j]
            if fit_intercept:
                F.l2[F.p] = 0.0
            end = iterate(&F, &of, rest, loss_curve, &n_iter, &n_evaluations, theta)
        free(memory)
    return end, n_iter, n_evaluations
