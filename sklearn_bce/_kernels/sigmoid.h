/* The activation of many samples at once, in loops that a compiler turns into vector instructions.

   Written out in C because exp() of the C library takes one number at a time. On x86-64 the loops
   are compiled for several kinds of processor, and the one at hand picks its own; there is no fused
   multiply-add among them, so that all round alike. */
#ifndef BCE_ACTIVATION_H
#define BCE_ACTIVATION_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__)
#define BCE_FOR_EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define BCE_FOR_EACH_PROCESSOR
#endif

#define BCE_LANES 4
#define BCE_BATCH 256  /* factors 1 + e^-|z| <= 2 that are multiplied before one logarithm */

/* Set tail to e^-|z|, to an ulp or two; e^-708, the least there is room for, below that.

   With k the nearest integer to x/ln 2 and r = x - k ln 2, the exponential is 2^k e^r, and e^r its
   Taylor series to r^13 (W. J. Cody and W. Waite, "Software Manual for the Elementary Functions",
   1980, chapter 6). Adding 1.5 * 2^52 rounds to an integer, and leaves it in the lowest bits. */
BCE_FOR_EACH_PROCESSOR
static void bce_tails(const double *z, double *tail, int n)
{
    const double magic = 6755399441055744.0;
    for (int i = 0; i < n; i++) {
        double x = -fabs(z[i]);
        x = x < -708.0 ? -708.0 : x;
        double shifted = x * 1.4426950408889634 + magic;
        double k = shifted - magic;
        double r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
        double p = 1.0 / 6227020800.0;
        p = p * r + 1.0 / 479001600.0;
        p = p * r + 1.0 / 39916800.0;
        p = p * r + 1.0 / 3628800.0;
        p = p * r + 1.0 / 362880.0;
        p = p * r + 1.0 / 40320.0;
        p = p * r + 1.0 / 5040.0;
        p = p * r + 1.0 / 720.0;
        p = p * r + 1.0 / 120.0;
        p = p * r + 1.0 / 24.0;
        p = p * r + 1.0 / 6.0;
        p = p * r + 0.5;
        p = p * r + 1.0;
        p = p * r + 1.0;
        int64_t bits;
        double power;
        memcpy(&bits, &shifted, sizeof bits);
        bits = (int64_t)((uint64_t)(bits + 1023) << 52);
        memcpy(&power, &bits, sizeof power);
        tail[i] = p * power;
    }
}

/* Set slope to a - y and curvature to a(1 - a), factor to 1 + e^-|z| and missed to the part of the
   loss that is no logarithm, max(z, 0) - yz. */
BCE_FOR_EACH_PROCESSOR
static void bce_parts(const double *y, const double *z, const double *tail, double *slope,
                      double *curvature, double *factor, double *missed, int n)
{
    for (int i = 0; i < n; i++) {
        double nearer = 1.0 / (1.0 + tail[i]);
        double farther = tail[i] * nearer;
        double a = z[i] >= 0.0 ? nearer : farther;
        double positive = z[i] > 0.0 ? z[i] : 0.0;
        slope[i] = a - y[i];
        curvature[i] = nearer * farther;
        factor[i] = 1.0 + tail[i];
        missed[i] = positive - y[i] * z[i];
    }
}

/* Set slope to s(a - y) and curvature to sa(1 - a) of n samples, and return the sum of sL. The
   weights are s[0], s[step], ...; a step of 0 stands for one weight for all. */
static double bce_activate(const double *y, const double *z, const double *s, int64_t step,
                           double *slope, double *curvature, int64_t n)
{
    double tail[BCE_BATCH], factor[BCE_BATCH], missed[BCE_BATCH], total = 0.0;
    for (int64_t start = 0; start < n; start += BCE_BATCH) {
        int m = (int)(n - start < BCE_BATCH ? n - start : BCE_BATCH);
        double *slopes = slope + start, *curvatures = curvature + start;
        bce_tails(z + start, tail, m);
        bce_parts(y + start, z + start, tail, slopes, curvatures, factor, missed, m);
        if (step == 0) {
            /* several sums and products at a time: one would wait for each before the next */
            double sum[BCE_LANES] = {0.0}, product[BCE_LANES];
            int whole = m - m % BCE_LANES;
            for (int lane = 0; lane < BCE_LANES; lane++) product[lane] = 1.0;
            for (int i = 0; i < whole; i += BCE_LANES)
                for (int lane = 0; lane < BCE_LANES; lane++) {
                    sum[lane] += missed[i + lane];
                    product[lane] *= factor[i + lane];
                }
            for (int i = whole; i < m; i++) {
                sum[0] += missed[i];
                product[0] *= factor[i];
            }
            total += (sum[0] + sum[1]) + (sum[2] + sum[3])
                     + log((product[0] * product[1]) * (product[2] * product[3]));
            for (int i = 0; i < m; i++) {
                slopes[i] *= s[0];
                curvatures[i] *= s[0];
            }
        } else {
            const double *weight = s + start * step;
            for (int i = 0; i < m; i++) {
                total += weight[i * step] * (missed[i] + log1p(tail[i]));
                slopes[i] *= weight[i * step];
                curvatures[i] *= weight[i * step];
            }
        }
    }
    return step == 0 ? s[0] * total : total;
}

#endif
