# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""Newton's method over an array that fits into the cache, in one call.

The steps, the line search and the stopping test are those of the general loop, with the curvature
of all coordinates formed in each step. For a smooth F the curvature is factorised; with an L1 norm,
`minimise_model` finds the step by coordinate descent. Where that loop would need a safeguard, the
call ends: the general loop goes on from the point reached. ``reference.py`` has the call in NumPy.
"""
from libc.math cimport INFINITY, fabs, isfinite, sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from scipy.linalg.cython_blas cimport daxpy, ddot, dgemv, dtrsm, dtrsv
from scipy.linalg.cython_lapack cimport dpotrf, dpotrs

from sklearn_bce._kernels.gram cimport add_gram, gram_chunk, gram_memory, gram_rows, gram_width
from sklearn_bce._kernels.soft_threshold cimport sweep

cdef extern from "sigmoid.h" nogil:
    double bce_loss(const double *y, const double *z, const double *weight, int64_t stride,
                    double *slope, double *curvature, int64_t n)

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
    double inner_fraction
    int sweeps
    int max_rounds
    double visible_excess
    double end_margin
    double rounding_floor
    double start_limit
    double least_doubt


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
    double *l1             # (size,) strengths of the L1 norm; NULL if there is none


cdef struct Point:
    double *theta          # (size,)
    double *z              # (n,) linear outputs
    double *slope          # (n,) p ∂L/∂z
    double *curvature      # (n,) p ∂²L/∂z²
    double *gradient       # (size,) of F without the L1 norm
    double value           # F


cdef struct Model:
    # The quadratic model of F at a point, and the step to its minimum.
    double *H              # (size, size) the matrix; its factor if F is smooth
    double *step           # (size,)
    double gained          # by how much the model falls in the step, in nats
    # With an L1 norm:
    double *theta          # (size,) the minimum
    double *derivative     # (2·size,) of the smooth part at the minimum, and scratch
    double *face           # (size, size) scratch
    int *places            # (size,) scratch: indices of the coordinates of a face


cdef double *allocate(Py_ssize_t n) except NULL:
    """Return an array of n numbers, at least one; the caller frees it."""
    cdef double *array = <double *> malloc(max(n, 1) * sizeof(double))
    if array == NULL:
        raise MemoryError
    return array


cdef inline double weight_of(Problem *F, Py_ssize_t i) noexcept nogil:
    return F.weight[i * F.stride]


cdef inline const double *row_of(const double[:, :] X, Py_ssize_t i, double *buffer) noexcept nogil:
    """Return a row of X whose elements are contiguous: in X, or copied to the buffer."""
    cdef Py_ssize_t j
    if X.strides[1] == sizeof(double):
        return &X[i, 0]
    for j in range(X.shape[1]):
        buffer[j] = X[i, j]
    return buffer


cdef bint moments(const double[:, :] X, Problem *F, bint fit_intercept, Limits *limits,
                  double *shift, double *scale, double *scratch) noexcept nogil:
    """Set shift and scale to mean and deviation of the columns; scale is 0 for constant columns.

    Moments are taken about the first row with weight, as `Moments` does; scratch has 3·size
    elements. Returns False if a mean square is not finite, or has left the range in which nothing
    is lost.
    """
    cdef Py_ssize_t i, j, first = 0
    cdef double p, x
    cdef const double *row
    cdef double *origin = scratch
    cdef double *square = scratch + F.size
    cdef double *buffer = scratch + 2 * F.size
    while first < F.n and not weight_of(F, first) > 0:
        first += 1
    for j in range(F.p):
        origin[j] = X[first, j] if fit_intercept else 0.0
        shift[j] = square[j] = 0.0
    for i in range(F.n):
        row, p = row_of(X, i, buffer), weight_of(F, i)
        for j in range(F.p):
            x = row[j] - origin[j]
            shift[j] += p * x
            square[j] += p * x * x
    for j in range(F.p):
        if square[j] == 0:
            for i in range(F.n):
                if X[i, j] != origin[j] and weight_of(F, i) > 0:
                    return False  # not constant: its squares are below the range of float64
        elif not limits.least_mean_square < square[j] < limits.largest_mean_square:
            return False
        if fit_intercept:
            scale[j] = sqrt(max(square[j] - shift[j] * shift[j], 0.0))
            shift[j] += origin[j]
        else:
            scale[j] = sqrt(square[j])
            shift[j] = 0.0
    return True


cdef bint standardise(const double[:, :] X, Problem *F, const double *shift,
                      const double *scale, double *scratch) noexcept nogil:
    """Set Z to the standardised columns of X, and a 1; constant columns are 0 without rounding.

    Returns False if an element of X is not finite; scratch has 3·size elements.
    """
    cdef Py_ssize_t i, j
    cdef const double *row
    cdef double *z
    cdef double *divisor = scratch
    cdef double *total = scratch + F.size  # of each column: one sum for all would be slower
    cdef double *buffer = scratch + 2 * F.size
    cdef bint is_finite = True
    for j in range(F.p):
        divisor[j] = scale[j] if scale[j] > 0 else INFINITY
        total[j] = 0.0
    for i in range(F.n):
        row, z = row_of(X, i, buffer), F.Z + i * F.size
        for j in range(F.p):
            z[j] = (row[j] - shift[j]) / divisor[j]
            total[j] += z[j]
        if F.size > F.p:
            z[F.p] = 1.0
    for j in range(F.p):
        is_finite = is_finite and isfinite(total[j])
    return is_finite


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
        penalty += F.l2[j] * at.theta[j] * at.theta[j] / 2
    if F.l1 != NULL:
        for j in range(F.size):
            penalty += F.l1[j] * fabs(at.theta[j])
    at.value += penalty


cdef inline double slope_of_norm(double theta, double d) noexcept nogil:
    """Return the right derivative of |θ + t·d| in t, at t = 0."""
    return fabs(d) if theta == 0 else d if theta > 0 else -d


cdef double slope_along(Problem *F, Point *at, const double *d) noexcept nogil:
    """Return the directional derivative of F along d, at a point whose gradient is known."""
    cdef int one = 1
    cdef Py_ssize_t j
    cdef double slope = ddot(&F.size, at.gradient, &one, <double *> d, &one)
    if F.l1 != NULL:
        for j in range(F.size):
            slope += F.l1[j] * slope_of_norm(at.theta[j], d[j])
    return slope


cdef void differentiate(Problem *F, Point *at) noexcept nogil:
    """Set the gradient of F at a point that has been evaluated."""
    cdef int one = 1
    cdef Py_ssize_t j
    cdef double unit = 1.0, nothing = 0.0
    dgemv("N", &F.size, &F.n, &unit, F.Z, &F.size, at.slope, &one, &nothing, at.gradient, &one)
    for j in range(F.size):
        at.gradient[j] += F.l2[j] * at.theta[j]


cdef void form(Problem *F, const double *curvature, double *chunk, double *H) noexcept nogil:
    """Set the lower triangle of H, in the order of Fortran, to the curvature of F.

    The curvatures of the samples are given. ``chunk`` is the scratch of `gram_chunk`.
    """
    cdef Py_ssize_t i, j, start = 0
    cdef int n, rows = gram_rows(F.size), width = gram_width(F.size)
    cdef double root
    cdef double *source
    cdef double *target
    memset(H, 0, F.size * F.size * sizeof(double))
    while start < F.n:
        n = <int> min(<Py_ssize_t> rows, F.n - start)
        for i in range(n):
            root = sqrt(curvature[start + i])
            source, target = F.Z + (start + i) * F.size, chunk + i * width
            for j in range(F.size):
                target[j] = root * source[j]
            for j in range(F.size, width):
                target[j] = 0.0
        add_gram(chunk, n, F.size, c"L", H)
        start += n
    for j in range(F.size):
        H[j * F.size + j] += F.l2[j]


cdef bint factorise(double *H, int size, Limits *limits, double *diagonal) noexcept nogil:
    """Replace H by its Cholesky factor; return whether each pivot is trusted.

    ``diagonal``, (size,), is scratch.
    """
    cdef Py_ssize_t j
    cdef int info
    cdef double root
    for j in range(size):
        if H[j * size + j] == 0:  # a constant column has no effect
            H[j * size + j] = 1.0
        diagonal[j] = H[j * size + j]
    dpotrf("L", &size, H, &size, &info)
    if info:
        return False
    for j in range(size):
        root = H[j * size + j]
        if not root * root > limits.trusted_pivot * size * EPSILON * diagonal[j]:
            return False
    return True


cdef void solve(double *factor, int size, double *vector) noexcept nogil:
    """Multiply a vector by the inverse of the curvature, given its factor."""
    cdef int one = 1, info
    dpotrs("L", &size, &one, factor, &size, vector, &size, &info)


cdef double newton_step(Problem *F, double *H, double *gradient, double *d) noexcept nogil:
    """Set d to Newton's step, given the factor of H; return the squared decrement −gᵀd, in nats."""
    cdef int one = 1
    cdef Py_ssize_t j
    for j in range(F.size):
        d[j] = -gradient[j]
    solve(H, F.size, d)
    return -ddot(&F.size, gradient, &one, d, &one)


cdef double secant_step(Problem *F, double *H, Point *before, Point *at, double *d,
                        double *scratch) noexcept nogil:
    """Set d to the step from a point by the factor of the point before; return λ².

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
    solve(H, F.size, d)
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
        if F.l1 != NULL:
            for j in range(F.size):
                first += F.l1[j] * slope_of_norm(before.theta[j] + t * d[j], d[j])
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
    cdef double decrease = value - at.value
    if decrease >= limits.sufficient_decrease * decrement:
        return True
    if not decrease >= -limits.sum_rounding * value:
        return False
    differentiate(F, at)
    return fabs(slope_along(F, at, d)) <= decrement / 2


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


cdef double share_of(double *factor, int size, double *rows, int n) noexcept nogil:
    """Return the sum of the leverages of n rows √h·z, which are overwritten, given the factor."""
    cdef Py_ssize_t j
    cdef double unit = 1.0, share = 0.0
    dtrsm("L", "L", "N", "N", &size, &n, &unit, factor, &size, rows, &size)
    for j in range(n * size):
        share += rows[j] * rows[j]
    return share


cdef bint flat_samples_dominate(Problem *F, Point *at, const double *at_factor, double *factor,
                                const int *places, int size, double decrement, bint is_stale,
                                Limits *limits, double *chunk) noexcept nogil:
    """Return whether samples that have become flat may make up a direction of the curvature.

    See `InMemoryObjective.samples_that_dominate`; here no further sample is looked at once the
    share of the flat samples is too large. The factor is that of ``size`` coordinates, whose
    indices are ``places``; NULL means all. ``chunk`` is the scratch of `gram_chunk`.
    """
    cdef Py_ssize_t i, j, n_flat = 0
    cdef int in_chunk = 0, most = gram_rows(F.size)
    cdef double of_step, root, share = 0.0
    cdef double *row
    for i in range(F.n):
        of_step = at.curvature[i]
        if is_stale:
            of_step = max(of_step, at_factor[i])
        if not (weight_of(F, i) > 0 and at.curvature[i] * at.curvature[i] <= decrement * of_step):
            continue
        n_flat += 1
        if n_flat > limits.most_flat:
            return True
        if in_chunk == most:
            share += share_of(factor, size, chunk, in_chunk)
            in_chunk = 0
            if share > limits.flat_share:
                return True
        row, root = chunk + in_chunk * size, sqrt(at_factor[i])
        for j in range(size):
            row[j] = root * F.Z[i * F.size + (j if places == NULL else places[j])]
        in_chunk += 1
    return share + share_of(factor, size, chunk, in_chunk) > limits.flat_share


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


cdef double least_slope(double theta, double gradient, double l1) noexcept nogil:
    """Return the element nearest to 0 of the subdifferential of F in a coordinate."""
    if theta == 0:
        return gradient - l1 if gradient > l1 else gradient + l1 if gradient < -l1 else 0.0
    return gradient + l1 if theta > 0 else gradient - l1


cdef int take_face(Problem *F, Model *m) noexcept nogil:
    """Set ``face`` to the rows and columns of H at ``places``; return their number."""
    cdef Py_ssize_t j, k
    cdef int n = 0
    for j in range(F.size):
        if m.places[j] >= 0:
            m.places[n] = <int> j
            n += 1
    for k in range(n):
        for j in range(n):
            m.face[k * n + j] = m.H[m.places[k] * F.size + m.places[j]]
    return n


cdef double step_on_face(Problem *F, Model *m) noexcept nogil:
    """Move towards the minimum of the model without a change of signs; return the decrease.

    The step ends where the first coordinate reaches 0; see `feature_sign_search`. No step is taken
    if the curvature on the face is not positive.
    """
    cdef Py_ssize_t j, k, first = -1
    cdef int n, info, one = 1
    cdef double along = 0.0, t = 1.0, move
    for j in range(F.size):
        m.places[j] = -1 if F.l1[j] > 0 and m.theta[j] == 0 else 0
    n = take_face(F, m)
    for k in range(n):
        j = m.places[k]
        m.step[k] = -least_slope(m.theta[j], m.derivative[j], F.l1[j])
    dpotrf("L", &n, m.face, &n, &info)
    if info or not n:
        return 0.0
    # H = LLᵀ, so that along = ‖L⁻¹g‖² is both −gᵀs and sᵀHs of the step s.
    dtrsv("L", "N", "N", &n, m.face, &n, m.step, &one)
    along = ddot(&n, m.step, &one, m.step, &one)
    dtrsv("L", "T", "N", &n, m.face, &n, m.step, &one)
    for k in range(n):
        j = m.places[k]
        if F.l1[j] > 0 and m.theta[j] * (m.theta[j] + t * m.step[k]) < 0:
            t, first = -m.theta[j] / m.step[k], k
    for k in range(n):
        move = t * m.step[k]
        m.theta[m.places[k]] += move
        daxpy(&F.size, &move, m.H + m.places[k] * F.size, &one, m.derivative, &one)
    if first >= 0:
        m.theta[m.places[first]] = 0.0
    return along * t * (1 - t / 2)


cdef bint minimise_model(Problem *F, Point *at, Model *m, Limits *limits) noexcept nogil:
    """Set the minimum of the model and the step there, given H; return whether it is found.

    Sweeps of coordinate descent find which coordinates are 0, and steps on the face of the others
    go on where columns are correlated, as in `GramQuadratic.minimum`.
    """
    cdef Py_ssize_t k, j
    cdef double lower = -INFINITY, upper = INFINITY, last = 0.0, rounding
    cdef bint is_minimum = False
    memcpy(m.theta, at.theta, F.size * sizeof(double))
    memcpy(m.derivative, at.gradient, F.size * sizeof(double))
    for j in range(F.size):
        # At the largest C for which all weights are 0, a gradient is equal to κ but for rounding.
        rounding = limits.sum_rounding * F.l1[j]
        if at.theta[j] == 0 and 0 < fabs(m.derivative[j]) - F.l1[j] <= rounding:
            m.derivative[j] = F.l1[j] if m.derivative[j] > 0 else -F.l1[j]
    m.gained = 0.0
    for k in range(limits.max_rounds):
        for j in range(limits.sweeps):
            last = sweep(m.H, F.l1, &lower, &upper, 0, m.theta, m.derivative, F.size)
            m.gained += last
            if last <= limits.inner_fraction * m.gained:
                break
        is_minimum = not last * limits.sweeps > limits.inner_fraction * m.gained
        if is_minimum:
            break
        m.gained += step_on_face(F, m)
    for j in range(F.size):
        m.step[j] = m.theta[j] - at.theta[j]
    return is_minimum


cdef void correct(Problem *F, Point *before, Point *at, Model *m) noexcept nogil:
    """Correct H by the change of the gradient along a step; see `GramQuadratic.add_secant_pair`."""
    cdef Py_ssize_t i, j
    cdef int one = 1
    cdef double *step = m.derivative
    cdef double *change = m.derivative + F.size
    cdef double *expected = m.step
    cdef double along, expected_along
    for j in range(F.size):
        step[j] = at.theta[j] - before.theta[j]
        change[j] = at.gradient[j] - before.gradient[j]
    for j in range(F.size):
        expected[j] = ddot(&F.size, m.H + j * F.size, &one, step, &one)
    along = ddot(&F.size, step, &one, change, &one)
    expected_along = ddot(&F.size, step, &one, expected, &one)
    if not (along > 0 and expected_along > 0):
        return
    for i in range(F.size):
        for j in range(F.size):
            m.H[i * F.size + j] += (change[i] * change[j] / along
                                    - expected[i] * expected[j] / expected_along)


cdef bint model_holds(Problem *F, Point *at, Model *m, const double *at_model, double decrement,
                      bint is_stale, double *chunk, Limits *limits) noexcept nogil:
    """Return whether the model is good up to the minimum of F.

    See `Direction.model_holds` and `ProximalNewtonDirection.model_holds`. The curvatures of the
    samples in H are given; the gradient at the point is computed with an L1 norm.
    """
    cdef Py_ssize_t j, k
    cdef int n, one = 1
    cdef double slope, gain
    if F.l1 == NULL:
        return not flat_samples_dominate(F, at, at_model, m.H, NULL, F.size, decrement, is_stale,
                                         limits, chunk)
    differentiate(F, at)
    for j in range(F.size):
        slope = least_slope(at.theta[j], at.gradient[j], F.l1[j])
        m.places[j] = 0
        if F.l1[j] > 0 and at.theta[j] == 0 and not fabs(slope) > limits.visible_excess * F.l1[j]:
            m.places[j] = -1
    n = take_face(F, m)
    if not n:
        return True
    if not factorise(m.face, n, limits, m.step):
        return False
    for k in range(n):
        j = m.places[k]
        m.step[k] = least_slope(at.theta[j], at.gradient[j], F.l1[j])
    dtrsv("L", "N", "N", &n, m.face, &n, m.step, &one)
    gain = ddot(&n, m.step, &one, m.step, &one) / 2
    if not limits.end_margin * gain <= max(limits.tol, limits.rounding_floor * at.value):
        return False
    return not flat_samples_dominate(F, at, at_model, m.face, m.places, n, decrement, True, limits,
                                     chunk)


cdef bint find_step(Problem *F, Point *at, Model *m, double *chunk, Limits *limits) noexcept nogil:
    """Set the step of the model from a point; return False where the general loop is to find it."""
    cdef Py_ssize_t i, j
    form(F, at.curvature, chunk, m.H)
    if F.l1 == NULL:
        if not factorise(m.H, F.size, limits, m.derivative):
            return False
        m.gained = newton_step(F, m.H, at.gradient, m.step) / 2
        return m.gained >= 0 and isfinite(m.gained) and isfinite(at.value)
    for i in range(F.size):
        for j in range(i):
            m.H[i * F.size + j] = m.H[j * F.size + i]
    # F is at least 0: a model that predicts a decrease of more than F has too little curvature.
    return minimise_model(F, at, m, limits) and m.gained <= at.value


cdef bint find_stale_step(Problem *F, Point *before, Point *at, Model *m,
                          Limits *limits) noexcept nogil:
    """Set the step from a point by the model of the point before; return whether there is one."""
    if F.l1 == NULL:
        m.gained = secant_step(F, m.H, before, at, m.step, m.derivative) / 2
        return m.gained >= 0
    correct(F, before, at, m)
    return minimise_model(F, at, m, limits)


cdef End iterate(Problem *F, Limits *limits, double *memory, int *places, double[::1] loss_curve,
                 int *n_iter, int *n_evaluations, double[::1] theta) noexcept nogil:
    """Minimise F from θ, which is set to the end.

    ``loss_curve`` receives F after each step. ``memory`` has `memory_of` elements, and ``places``
    has ``size``.
    """
    cdef Point at, new
    cdef Model m
    cdef Py_ssize_t i
    cdef double decrement, enough, last, left, previous = 0.0, t
    cdef double *dz
    cdef double *chunk
    cdef bint is_last, is_far, is_stale
    cdef End end = MAX_ITER
    give_memory(F, &at, &memory)
    give_memory(F, &new, &memory)
    m.H, memory = memory, memory + F.size * F.size
    m.face, memory = memory, memory + F.size * F.size
    m.theta, memory = memory, memory + F.size
    m.derivative, memory = memory, memory + 2 * F.size
    m.step, memory = memory, memory + F.size
    dz, chunk = memory, gram_chunk(memory + F.n)
    m.places = places
    memcpy(at.theta, &theta[0], F.size * sizeof(double))
    outputs(F, at.theta, at.z)
    if F.offset != NULL:
        for i in range(F.n):
            at.z[i] += F.offset[i]
    evaluate(F, &at)
    differentiate(F, &at)
    n_evaluations[0] = 1
    if at.value >= limits.start_limit:
        return HANDED_OVER
    while n_iter[0] < limits.max_iter and not at.value <= limits.tol:
        end = HANDED_OVER
        if not find_step(F, &at, &m, chunk, limits):
            break
        decrement = last = 2 * m.gained
        left = m.gained
        if decrement < previous:
            left *= decrement / previous
        is_last = m.gained <= limits.tol
        is_far = limits.worth_a_search * at.value < m.gained
        outputs(F, m.step, dz)
        t = exact_step_length(F, &at, m.step, dz, &new, limits) if is_far else 1.0
        move(F, &at, m.step, dz, t, &new)
        evaluate(F, &new)
        n_evaluations[0] += 1
        if not falls(F, at.value, &new, m.step, decrement, limits):
            break
        is_stale = False
        if not is_last:
            differentiate(F, &new)
            if left <= limits.tol and not is_far:
                is_stale = find_stale_step(F, &at, &new, &m, limits)
                last = 2 * m.gained
                enough = limits.stale_step_fraction * limits.tol * decrement
                is_stale = (is_stale and last * last / 2 <= enough
                            and limits.stale_margin * m.gained <= limits.tol)
        loss_curve[n_iter[0]] = new.value
        n_iter[0] += 1
        if is_stale:
            # The step before it is not kept: both are one step, as of `FinalStaleStep`.
            outputs(F, m.step, dz)
            left = new.value
            move(F, &new, m.step, dz, 1.0, &new)
            evaluate(F, &new)
            n_evaluations[0] += 1
            if not falls(F, left, &new, m.step, last, limits):
                exchange(&at, &new)
                break
            loss_curve[n_iter[0] - 1] = new.value
        exchange(&at, &new)  # `new` is now the point before, with the curvature of the model
        if is_last or is_stale:
            if (not leaves_region(F, &new, &at, decrement, limits)
                    and model_holds(F, &at, &m, new.curvature, last, is_stale, chunk,
                                    limits)):
                end = CONVERGED
            if end == CONVERGED or (is_last and m.gained <= limits.least_doubt):
                break
            differentiate(F, &at)
        previous, end = decrement, MAX_ITER
    if at.value <= limits.tol:
        end = CONVERGED
        if not n_iter[0]:  # a run without a step has one entry
            loss_curve[0], n_iter[0] = at.value, 1
    memcpy(&theta[0], at.theta, F.size * sizeof(double))
    return end


cdef Py_ssize_t memory_of(Problem *F) noexcept nogil:
    """Return the number of elements that `iterate` uses."""
    return 7 * F.n + F.size * (2 * F.size + 8) + gram_memory(F.size)


def newton_in_cache(const double[:, :] X, const double[::1] y, const double[:] normalised_weight,
                    const double[:] offset, bint fit_intercept, const double[:] l2,
                    const double[:] l1, limits, double[::1] theta, double[::1] shift,
                    double[::1] scale, double[::1] loss_curve):
    """Minimise F in coordinates of centred and scaled columns.

    Parameters
    ----------
    X : (n_samples, n_features) samples, of any strides; they need not be finite
    y : (n_samples,) targets in [0, 1]
    normalised_weight : (n_samples,) weights p of sum 1; a stride of 0 is allowed
    offset : (n_samples,) known terms of z, or None if there are none
    fit_intercept : whether θ has an entry for the intercept, the last one
    l2 : (n_features,) strengths of the penalty, in the units of X
    l1 : (n_features,) strengths of the L1 norm, in the units of X, or None if there is none
    limits : the numbers of `Limits`, a named tuple of these names in this order; nothing is done if
        F is at least ``start_limit`` at the start
    theta : (size,) weights and intercept to start from, in the units of X; changed to θ at the end
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
    cdef int *places
    cdef Py_ssize_t i, j
    (of.tol, of.max_iter, of.worth_a_search, of.sufficient_decrease, of.sum_rounding,
     of.max_step_length, of.step_length_tol, of.max_search_steps, of.trusted_pivot,
     of.stale_margin, of.stale_step_fraction, of.model_region, of.negligible_decrement,
     of.flat_share, of.most_flat, of.least_mean_square, of.largest_mean_square,
     of.inner_fraction, of.sweeps, of.max_rounds, of.visible_excess, of.end_margin,
     of.rounding_floor, of.start_limit, of.least_doubt) = limits
    F.n, F.p, F.size = <int> X.shape[0], <int> X.shape[1], <int> theta.shape[0]
    F.y, F.weight = &y[0], &normalised_weight[0]
    F.stride = <int> (normalised_weight.strides[0] // <Py_ssize_t> sizeof(double))
    F.offset = F.l1 = NULL
    memory = allocate(F.n * F.size + 3 * F.size + F.n + memory_of(&F))
    F.Z, F.l2 = memory, memory + F.n * F.size
    rest = F.l2 + F.size
    places = <int *> rest  # two of them fit into a double
    rest += F.size
    if l1 is not None:
        F.l1, rest = rest, rest + F.size
    with nogil:
        if offset is not None:
            for i in range(F.n):
                rest[i] = offset[i]
            F.offset, rest = rest, rest + F.n
        if (moments(X, &F, fit_intercept, &of, &shift[0], &scale[0], rest)
                and standardise(X, &F, &shift[0], &scale[0], rest)):
            for j in range(F.p):
                F.l2[j] = l2[j] / (scale[j] * scale[j]) if scale[j] > 0 else l2[j]
                if fit_intercept:
                    theta[F.p] += shift[j] * theta[j]
                theta[j] *= scale[j] if scale[j] > 0 else 1.0
            if fit_intercept:
                F.l2[F.p] = 0.0
            if F.l1 != NULL:
                for j in range(F.p):
                    F.l1[j] = l1[j] / scale[j] if scale[j] > 0 else l1[j]
                if fit_intercept:
                    F.l1[F.p] = 0.0
            end = iterate(&F, &of, rest, places, loss_curve, &n_iter, &n_evaluations, theta)
        free(memory)
    return end, n_iter, n_evaluations
