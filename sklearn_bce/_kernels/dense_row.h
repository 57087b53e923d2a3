/* Products with a long row of float32 values, in loops that a compiler vectorises: BLAS has none of
   float32 values and float64 weights. */
#ifndef BCE_DENSE_ROW_H
#define BCE_DENSE_ROW_H

#include <stddef.h>

#include "processors.h"

/* Independent sums in a loop: four vectors of AVX2, so that an addition, with its latency of 4
   cycles (A. Fog, "Instruction tables"), waits for none before it. */
#define BCE_ROW_SUMS 16

/* Return the sum of sum[0], ..., by halves; changes sum. */
static inline double bce_total(double *sum)
{
    for (int half = BCE_ROW_SUMS / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++) sum[lane] += sum[lane + half];
    return sum[0];
}

/* Return the sum of wx over n features. */
BCE_FOR_EACH_PROCESSOR
static double bce_float_dot(const float *restrict x, const double *restrict w, ptrdiff_t n)
{
    double sum[BCE_ROW_SUMS] = {0.0};
    ptrdiff_t whole = n - n % BCE_ROW_SUMS;
    for (ptrdiff_t j = 0; j < whole; j += BCE_ROW_SUMS)
        for (int lane = 0; lane < BCE_ROW_SUMS; lane++) sum[lane] += w[j + lane] * x[j + lane];
    for (ptrdiff_t j = whole; j < n; j++) sum[j - whole] += w[j] * x[j];
    return bce_total(sum);
}

/* Return the sum of the squares of n values. */
BCE_FOR_EACH_PROCESSOR
static double bce_float_square(const float *restrict x, ptrdiff_t n)
{
    double sum[BCE_ROW_SUMS] = {0.0};
    ptrdiff_t whole = n - n % BCE_ROW_SUMS;
    for (ptrdiff_t j = 0; j < whole; j += BCE_ROW_SUMS)
        for (int lane = 0; lane < BCE_ROW_SUMS; lane++)
            sum[lane] += (double)x[j + lane] * x[j + lane];
    for (ptrdiff_t j = whole; j < n; j++) sum[j - whole] += (double)x[j] * x[j];
    return bce_total(sum);
}

/* Add factor times x to w, both of n features. */
BCE_FOR_EACH_PROCESSOR
static void bce_float_add(double factor, const float *restrict x, double *restrict w, ptrdiff_t n)
{
    for (ptrdiff_t j = 0; j < n; j++) w[j] += factor * x[j];
}

#endif
