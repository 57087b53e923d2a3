/* Sums of products of columns, for few columns: BLAS spends as long on copies as on products. */
#ifndef BCE_GRAM_H
#define BCE_GRAM_H

#include <stddef.h>
#include <string.h>

#include "processors.h"

#ifdef __GNUC__ /* also of Clang */

/* Most columns for which bce_add_gram takes less time than dsyrk of OpenBLAS 0.3:
   python -m benchmarks.tuning BCE_MOST_COLUMNS */
#define BCE_MOST_COLUMNS 80

/* A tile of the result has so many rows and columns: its sums, eight vectors of AVX2, stay in
   registers, of which there are 16. */
#define BCE_TILE_ROWS 4
#define BCE_VECTOR 4
#define BCE_TILE_COLUMNS (2 * BCE_VECTOR)

typedef double bce_vector __attribute__((vector_size(BCE_VECTOR * sizeof(double))));

/* Add the sums of x[j]x[k] over n rows to gram[j*row_stride + k*column_stride], k <= j < size.

   Rows are width numbers apart, a multiple of BCE_TILE_COLUMNS, and are 0 from x[size] on. */
BCE_FOR_EACH_PROCESSOR
static void bce_add_gram(const double *x, ptrdiff_t n, ptrdiff_t width, ptrdiff_t size, double *gram,
                         ptrdiff_t row_stride, ptrdiff_t column_stride)
{
    for (ptrdiff_t j = 0; j < size; j += BCE_TILE_ROWS)
        for (ptrdiff_t k = 0; k < j + BCE_TILE_ROWS && k < size; k += BCE_TILE_COLUMNS) {
            bce_vector sum[BCE_TILE_ROWS][2] = {{{0.0}}};
            const double *first = x + j, *second = x + k;
            for (ptrdiff_t i = 0; i < n; i++, first += width, second += width) {
                bce_vector low, high;
                memcpy(&low, second, sizeof low);
                memcpy(&high, second + BCE_VECTOR, sizeof high);
                for (int row = 0; row < BCE_TILE_ROWS; row++) {
                    sum[row][0] += first[row] * low;
                    sum[row][1] += first[row] * high;
                }
            }
            for (int row = 0; row < BCE_TILE_ROWS && j + row < size; row++)
                for (int column = 0; column < BCE_TILE_COLUMNS && k + column <= j + row; column++)
                    gram[(j + row) * row_stride + (k + column) * column_stride]
                        += sum[row][column / BCE_VECTOR][column % BCE_VECTOR];
        }
}

#else /* no vectors in the language: dsyrk takes any number of columns */
#define BCE_MOST_COLUMNS 0
#define BCE_TILE_COLUMNS 1
#define bce_add_gram(x, n, width, size, gram, row_stride, column_stride) ((void)0)
#endif
#endif
