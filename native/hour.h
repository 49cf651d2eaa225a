/* The samples of one signal in one hour: their largest, their buckets, their steps at work.

   Written for two types of samples by including this file's second part twice. With SSE2, which every x86-64 has, four
   samples are processed at a time; other processors run the same loops one sample at a time, with equal results. */
#ifndef GPUWISE_HOUR_H
#define GPUWISE_HOUR_H

#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define SHIFT 46     /* bits of a float64 below a bucket's number: 52 of the mantissa less 6 */
#define AHEAD 512    /* samples: far enough to hide the latency of memory, found by trial on 10 million float64 */
#define LANES 4      /* partial sums of an hour */

/* Buckets of a day: `row` is that of bucket number 0, and a value between `low` and `top` has a bucket. */
typedef struct {
    uint32_t *row;
    double low, top;
} Buckets;

static inline uint64_t bucket_of(double value, const Buckets *into) {
    uint64_t bits;
    value = value > into->low ? value : into->low;
    value = value < into->top ? value : into->top;
    memcpy(&bits, &value, 8);
    return bits >> SHIFT;
}

#define SAMPLE float
#define NAME(name) name##_f32
#include "hour_of.h"
#undef SAMPLE
#undef NAME

#define SAMPLE double
#define NAME(name) name##_f64
#include "hour_of.h"
#undef SAMPLE
#undef NAME

#endif
