/* Loss, slope and curvature of many samples at once, in loops that a compiler vectorises.

   They are written in C because exp() of the C library takes one number at a time. The build forbids
   fused multiply-add (-ffp-contract=off), so that all instruction sets round alike. It allows that both values of a ?: are computed
   (-fno-trapping-math), without which GCC vectorises no loop that has one. */
#ifndef BCE_SIGMOID_H
#define BCE_SIGMOID_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "processors.h"

/* Independent sums in a loop. An addition or multiplication has a latency of 3 to 5 cycles on
   current x86-64 processors (A. Fog, "Instruction tables"): one sum would wait that long for each
   term. */
#define BCE_LANES 4

/* Samples handled together. Factors 1 + e^-|z| are at most 2, so that their product is at most
   2^256, within the range of a double (2^1024), and takes one logarithm; the three buffers of so
   many doubles take 6 KiB of the first-level cache (32 KiB or more).
   python -m benchmarks.tuning BCE_BATCH */
#define BCE_BATCH 256

/* exp(-BCE_LARGEST_EXPONENT) is the least exponential: -708 is the last integer above
   log(DBL_MIN) = -708.396, below which a double is subnormal. */
#define BCE_LARGEST_EXPONENT 708.0

/* Adding 1.5 * 2^52 to |x| < 2^51 rounds x to an integer, and leaves that integer in the lowest
   bits of the significand. */
#define BCE_ROUNDING_SHIFT 6755399441055744.0

#define BCE_EXPONENT_BIAS 1023        /* of an IEEE 754 double, ... */
#define BCE_SIGNIFICAND_BITS 52       /* ... whose exponent stands above so many bits */

/* 1/ln 2, and ln 2 = BCE_LN2_HIGH + BCE_LN2_LOW, where the product of BCE_LN2_HIGH and an integer
   below 2^20 is exact (fdlibm, e_exp.c). */
#define BCE_INVERSE_LN2 1.4426950408889634
#define BCE_LN2_HIGH 6.93147180369123816490e-01
#define BCE_LN2_LOW 1.90821492927058770002e-10

/* Set tail to e^-|z| of n samples, with an error of an ulp or two; to e^-708 where |z| > 708.

   With k the integer nearest to x/ln 2 and r = x - k ln 2, e^x is 2^k e^r, and e^r is its Taylor
   series to r^13, whose remainder at |r| <= ln(2)/2 is 6e-18 of it (W. J. Cody and W. Waite,
   "Software Manual for the Elementary Functions", 1980, chapter 6). */
BCE_FOR_EACH_PROCESSOR
static void bce_tails(const double *restrict z, double *restrict tail, int n)
{
    for (int i = 0; i < n; i++) {
        double x = -fabs(z[i]);
        x = x < -BCE_LARGEST_EXPONENT ? -BCE_LARGEST_EXPONENT : x;
        double shifted = x * BCE_INVERSE_LN2 + BCE_ROUNDING_SHIFT;
        double k = shifted - BCE_ROUNDING_SHIFT;
        double r = (x - k * BCE_LN2_HIGH) - k * BCE_LN2_LOW;
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
        bits = (int64_t)((uint64_t)(bits + BCE_EXPONENT_BIAS) << BCE_SIGNIFICAND_BITS);
        memcpy(&power, &bits, sizeof power);
        tail[i] = p * power;
    }
}

/* Of n samples, given tail = e^-|z|, set slope to a - y, curvature to a(1 - a), factor to
   1 + e^-|z|, and linear to max(z, 0) - yz. The loss is log(factor) + linear. */
BCE_FOR_EACH_PROCESSOR
static void bce_parts(const double *restrict y, const double *restrict z,
                      const double *restrict tail, double *restrict slope,
                      double *restrict curvature, double *restrict factor,
                      double *restrict linear, int n)
{
    for (int i = 0; i < n; i++) {
        double larger = 1.0 / (1.0 + tail[i]);   /* of a and 1 - a */
        double smaller = tail[i] * larger;
        double positive = z[i] > 0.0 ? z[i] : 0.0;
        /* a - y, from the smaller one, which keeps its digits in the tail */
        double above = (1.0 - y[i]) - smaller, below = smaller - y[i];
        slope[i] = z[i] >= 0.0 ? above : below;
        curvature[i] = larger * smaller;
        factor[i] = 1.0 + tail[i];
        linear[i] = positive - y[i] * z[i];
    }
}

/* Set logarithm to log(1 + t) of n numbers t in [0, 1], with a relative error of 3e-16.

   With s = t/(2 + t) in [0, 1/3], log(1 + t) is 2 artanh(s), and artanh(s) is its Taylor series to
   s^35, whose remainder is 1e-19 of it. */
BCE_FOR_EACH_PROCESSOR
static void bce_logs(const double *restrict t, double *restrict logarithm, int n)
{
    for (int i = 0; i < n; i++) {
        double s = t[i] / (2.0 + t[i]);
        double square = s * s;
        double p = 1.0 / 35.0;
        p = p * square + 1.0 / 33.0;
        p = p * square + 1.0 / 31.0;
        p = p * square + 1.0 / 29.0;
        p = p * square + 1.0 / 27.0;
        p = p * square + 1.0 / 25.0;
        p = p * square + 1.0 / 23.0;
        p = p * square + 1.0 / 21.0;
        p = p * square + 1.0 / 19.0;
        p = p * square + 1.0 / 17.0;
        p = p * square + 1.0 / 15.0;
        p = p * square + 1.0 / 13.0;
        p = p * square + 1.0 / 11.0;
        p = p * square + 1.0 / 9.0;
        p = p * square + 1.0 / 7.0;
        p = p * square + 1.0 / 5.0;
        p = p * square + 1.0 / 3.0;
        logarithm[i] = 2.0 * s + 2.0 * s * (square * p);
    }
}

/* Of m <= BCE_BATCH samples that have one weight p, multiply slope and curvature by p, and return
   the sum of linear + log(factor). */
static double bce_equal_weights(const double *linear, const double *factor, double p,
                                double *slope, double *curvature, int m)
{
    double sum[BCE_LANES] = {0.0}, product[BCE_LANES];
    int whole = m - m % BCE_LANES;
    for (int lane = 0; lane < BCE_LANES; lane++) product[lane] = 1.0;
    for (int i = 0; i < whole; i += BCE_LANES)
        for (int lane = 0; lane < BCE_LANES; lane++) {
            sum[lane] += linear[i + lane];
            product[lane] *= factor[i + lane];
        }
    for (int i = whole; i < m; i++) {
        sum[0] += linear[i];
        product[0] *= factor[i];
    }
    for (int i = 0; i < m; i++) {
        slope[i] *= p;
        curvature[i] *= p;
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3])
           + log((product[0] * product[1]) * (product[2] * product[3]));
}

/* Of m samples with the weights p[0], p[stride], ..., multiply slope and curvature by p, and return
   the sum of p(linear + logarithm). */
static double bce_own_weights(const double *linear, const double *logarithm, const double *p,
                              int64_t stride, double *slope, double *curvature, int m)
{
    double sum[BCE_LANES] = {0.0};
    int whole = m - m % BCE_LANES;
    for (int i = 0; i < whole; i += BCE_LANES)
        for (int lane = 0; lane < BCE_LANES; lane++)
            sum[lane] += p[(i + lane) * stride] * (linear[i + lane] + logarithm[i + lane]);
    for (int i = whole; i < m; i++) sum[0] += p[i * stride] * (linear[i] + logarithm[i]);
    for (int i = 0; i < m; i++) {
        slope[i] *= p[i * stride];
        curvature[i] *= p[i * stride];
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* Of n samples, set slope to p(a - y) and curvature to pa(1 - a), and return the sum of pL in nats.
   The weights p are weight[0], weight[stride], ...; a stride of 0 stands for one weight for all
   samples. */
static double bce_loss(const double *y, const double *z, const double *weight, int64_t stride,
                       double *slope, double *curvature, int64_t n)
{
    double tail[BCE_BATCH], factor[BCE_BATCH], linear[BCE_BATCH], total = 0.0;
    for (int64_t start = 0; start < n; start += BCE_BATCH) {
        int m = (int)(n - start < BCE_BATCH ? n - start : BCE_BATCH);
        double *slopes = slope + start, *curvatures = curvature + start;
        bce_tails(z + start, tail, m);
        bce_parts(y + start, z + start, tail, slopes, curvatures, factor, linear, m);
        if (stride == 0) {
            total += bce_equal_weights(linear, factor, weight[0], slopes, curvatures, m);
        } else {
            double *logarithm = factor;
            bce_logs(tail, logarithm, m);
            total += bce_own_weights(linear, logarithm, weight + start * stride, stride, slopes,
                                     curvatures, m);
        }
    }
    return stride == 0 ? weight[0] * total : total;
}

#endif
