/* The passes that normalization by context makes over the activations on a CPU; dacn/nn/passes/native.py calls them.

   Torch has no kernel that reads x once for mean and variance, and none that writes a * dy + b * x + c into part of a
   tensor, which is the backward pass of a context's rows: BatchNorm's allocates what it returns. These do both.

   x is `rows` images of `positions` times `channels` floats. Either the channels of a position lie side by side
   (`last`: torch's channels_last, and features without positions) or the positions of a channel do. The context of an
   image picks a line of each table, (contexts, channels).

   An image is summed up in float while a core's cache holds it; the images' sums are added in double and in their
   order, so no result depends on the number of threads. What works on one image is compiled for several processors,
   of which the loader takes the best that is there. */

#include <stdint.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define EVERY_PROCESSOR __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define EVERY_PROCESSOR
#endif

/* Raised with every change of what a function takes, here and in dacn/nn/passes/native.py: what an older checkout compiled
   must not be called. */
const int64_t dacn_passes_version = 1;

typedef const float *restrict Read;
typedef float *restrict Write;

/* One image, the channels of a position side by side. Four positions at a time: a sum is then loaded and stored once
   for four additions. */

EVERY_PROCESSOR static void total_last(Read x, Write total, int64_t positions, int64_t channels)
{
    int64_t p = 0;
    for (int64_t c = 0; c < channels; c++)
        total[c] = 0;
    for (; p + 4 <= positions; p += 4) {
        Read x0 = x + p * channels, x1 = x0 + channels, x2 = x1 + channels, x3 = x2 + channels;
        for (int64_t c = 0; c < channels; c++)
            total[c] += (x0[c] + x1[c]) + (x2[c] + x3[c]);
    }
    for (; p < positions; p++)
        for (int64_t c = 0; c < channels; c++)
            total[c] += x[p * channels + c];
}

/* total: of y; product: of y * (x - mean). */
EVERY_PROCESSOR static void sums_last(
    Read y, Read x, Read mean, Write product, Write total, int64_t positions, int64_t channels)
{
    int64_t p = 0;
    for (int64_t c = 0; c < channels; c++)
        product[c] = total[c] = 0;
    for (; p + 4 <= positions; p += 4) {
        Read y0 = y + p * channels, y1 = y0 + channels, y2 = y1 + channels, y3 = y2 + channels;
        Read x0 = x + p * channels, x1 = x0 + channels, x2 = x1 + channels, x3 = x2 + channels;
        for (int64_t c = 0; c < channels; c++) {
            float m = mean[c];
            total[c] += (y0[c] + y1[c]) + (y2[c] + y3[c]);
            product[c] += (y0[c] * (x0[c] - m) + y1[c] * (x1[c] - m)) + (y2[c] * (x2[c] - m) + y3[c] * (x3[c] - m));
        }
    }
    for (; p < positions; p++)
        for (int64_t c = 0; c < channels; c++) {
            total[c] += y[p * channels + c];
            product[c] += y[p * channels + c] * (x[p * channels + c] - mean[c]);
        }
}

EVERY_PROCESSOR static void squares_last(Read x, Read mean, Write square, int64_t positions, int64_t channels)
{
    int64_t p = 0;
    for (int64_t c = 0; c < channels; c++)
        square[c] = 0;
    for (; p + 4 <= positions; p += 4) {
        Read x0 = x + p * channels, x1 = x0 + channels, x2 = x1 + channels, x3 = x2 + channels;
        for (int64_t c = 0; c < channels; c++) {
            float d0 = x0[c] - mean[c], d1 = x1[c] - mean[c], d2 = x2[c] - mean[c], d3 = x3[c] - mean[c];
            square[c] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
        }
    }
    for (; p < positions; p++)
        for (int64_t c = 0; c < channels; c++) {
            float d = x[p * channels + c] - mean[c];
            square[c] += d * d;
        }
}

EVERY_PROCESSOR static void affine_last(Read x, Read scale, Read shift, Write y, int64_t positions, int64_t channels)
{
    for (int64_t p = 0; p < positions; p++)
        for (int64_t c = 0; c < channels; c++)
            y[p * channels + c] = x[p * channels + c] * scale[c] + shift[c];
}

EVERY_PROCESSOR static void combine_last(
    Read y, Read x, Read a, Read b, Read c0, Write z, int64_t positions, int64_t channels)
{
    for (int64_t p = 0; p < positions; p++)
        for (int64_t c = 0; c < channels; c++)
            z[p * channels + c] = y[p * channels + c] * a[c] + (x[p * channels + c] * b[c] + c0[c]);
}

/* One image, the positions of a channel side by side. */

EVERY_PROCESSOR static void total_first(Read x, Write total, int64_t positions, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++) {
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t p = 0; p < positions; p++)
            sum += x[c * positions + p];
        total[c] = sum;
    }
}

EVERY_PROCESSOR static void sums_first(
    Read y, Read x, Read mean, Write product, Write total, int64_t positions, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++) {
        float sum = 0, with = 0, m = mean[c];
#pragma omp simd reduction(+ : sum, with)
        for (int64_t p = 0; p < positions; p++) {
            sum += y[c * positions + p];
            with += y[c * positions + p] * (x[c * positions + p] - m);
        }
        total[c] = sum;
        product[c] = with;
    }
}

EVERY_PROCESSOR static void squares_first(Read x, Read mean, Write square, int64_t positions, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++) {
        float sum = 0, m = mean[c];
#pragma omp simd reduction(+ : sum)
        for (int64_t p = 0; p < positions; p++)
            sum += (x[c * positions + p] - m) * (x[c * positions + p] - m);
        square[c] = sum;
    }
}

EVERY_PROCESSOR static void affine_first(Read x, Read scale, Read shift, Write y, int64_t positions, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++)
        for (int64_t p = 0; p < positions; p++)
            y[c * positions + p] = x[c * positions + p] * scale[c] + shift[c];
}

EVERY_PROCESSOR static void combine_first(
    Read y, Read x, Read a, Read b, Read c0, Write z, int64_t positions, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++)
        for (int64_t p = 0; p < positions; p++)
            z[c * positions + p] = y[c * positions + p] * a[c] + (x[c * positions + p] * b[c] + c0[c]);
}

/* All images. */

typedef struct {
    int64_t rows, positions, channels, contexts, last, threads;
} Shape;

enum { BLOCK = 64 }; /* channels whose sums are kept at a time */

/* Add up `width` numbers of each image of context k, the first image's at `part`; return how many images there are. */
EVERY_PROCESSOR static int64_t add_up(
    const Shape *s, const int64_t *context, int64_t k, const float *part, int64_t width, double *restrict sum)
{
    int64_t images = 0;
    for (int64_t c = 0; c < width; c++)
        sum[c] = 0;
    for (int64_t r = 0; r < s->rows; r++) {
        if (context[r] != k)
            continue;
        images++;
        for (int64_t c = 0; c < width; c++)
            sum[c] += part[2 * r * s->channels + c];
    }
    return images;
}

/* Mean and biased variance of each context's images, (contexts, channels); those of none are 0. `images` is
   (rows, 2, channels) to work in. */
void dacn_moments(const Shape *s, const int64_t *context, const float *x, float *images, float *mean, float *var)
{
    int64_t size = s->positions * s->channels;
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int64_t r = 0; r < s->rows; r++) {
        float *centre = images + 2 * r * s->channels, *square = centre + s->channels;
        (s->last ? total_last : total_first)(x + r * size, centre, s->positions, s->channels);
        for (int64_t c = 0; c < s->channels; c++)
            centre[c] /= s->positions;
        (s->last ? squares_last : squares_first)(x + r * size, centre, square, s->positions, s->channels);
    }
    for (int64_t k = 0; k < s->contexts; k++)
        for (int64_t from = 0; from < s->channels; from += BLOCK) {
            double centre[BLOCK], sum[BLOCK];
            int64_t width = s->channels - from < BLOCK ? s->channels - from : BLOCK;
            int64_t n = add_up(s, context, k, images + from, width, centre);
            for (int64_t c = 0; c < width; c++)
                mean[k * s->channels + from + c] = centre[c] = n ? centre[c] / n : 0;
            /* The variance of all is the mean of the images' variances and of their means' squared distances. */
            add_up(s, context, k, images + s->channels + from, width, sum);
            for (int64_t c = 0; c < width; c++)
                sum[c] /= s->positions;
            for (int64_t r = 0; r < s->rows; r++)
                for (int64_t c = 0; context[r] == k && c < width; c++) {
                    double distance = images[2 * r * s->channels + from + c] - centre[c];
                    sum[c] += distance * distance;
                }
            for (int64_t c = 0; c < width; c++)
                var[k * s->channels + from + c] = n ? sum[c] / n : 0;
        }
}

/* y = x * scale + shift. */
void dacn_affine(
    const Shape *s, const int64_t *context, const float *x, const float *scale, const float *shift, float *y)
{
    int64_t size = s->positions * s->channels;
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int64_t r = 0; r < s->rows; r++) {
        int64_t k = context[r] * s->channels;
        (s->last ? affine_last : affine_first)(
            x + r * size, scale + k, shift + k, y + r * size, s->positions, s->channels);
    }
}

/* The sums of y * (x - mean) * inv_std and of y over each context's images and positions, (contexts, channels).
   `images` is (rows, 2, channels) to work in. */
void dacn_sums(
    const Shape *s, const int64_t *context, const float *y, const float *x, const float *mean, const float *inv_std,
    float *images, float *product, float *total)
{
    int64_t size = s->positions * s->channels;
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int64_t r = 0; r < s->rows; r++) {
        float *with = images + 2 * r * s->channels;
        (s->last ? sums_last : sums_first)(
            y + r * size, x + r * size, mean + context[r] * s->channels, with, with + s->channels, s->positions,
            s->channels);
    }
    for (int64_t k = 0; k < s->contexts; k++)
        for (int64_t from = 0; from < s->channels; from += BLOCK) {
            double sum[BLOCK];
            int64_t at = k * s->channels + from, width = s->channels - from < BLOCK ? s->channels - from : BLOCK;
            add_up(s, context, k, images + from, width, sum);
            for (int64_t c = 0; c < width; c++)
                product[at + c] = sum[c] * inv_std[at + c];
            add_up(s, context, k, images + s->channels + from, width, sum);
            for (int64_t c = 0; c < width; c++)
                total[at + c] = sum[c];
        }
}

/* z = y * a + x * b + c. */
void dacn_combine(
    const Shape *s, const int64_t *context, const float *y, const float *x, const float *a, const float *b,
    const float *c, float *z)
{
    int64_t size = s->positions * s->channels;
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int64_t r = 0; r < s->rows; r++) {
        int64_t k = context[r] * s->channels;
        (s->last ? combine_last : combine_first)(
            y + r * size, x + r * size, a + k, b + k, c + k, z + r * size, s->positions, s->channels);
    }
}
