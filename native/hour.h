/* The samples of one signal in one hour: their largest, their buckets, their steps at work.

   Written for two types of samples by including this file's second part twice. With SSE2, which every x86-64 has, eight
   samples are processed at a time; other processors run the same loops one sample at a time, with equal results. */
#ifndef GPUWISE_HOUR_H
#define GPUWISE_HOUR_H

#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define SHIFT 46     /* bits of a float64 below a bucket's number: 52 of the mantissa less 6 */
#define SHIFT_32 17  /* the same of a float32: 23 less 6 */
#define BIAS (64 * (1023 - 127)) /* the number of a float64's bucket less that of the same float32 */
#define AHEAD 512    /* samples: far enough to hide the latency of memory, found by trial on 10 million float64 */
#define LANES 4      /* partial sums of an hour */

/* Buckets of a day: `row` has last + 1 of them, at most 2^15, and `base` is the number of the first, also without a row.
   The number of a value's bucket is its exponent and upper mantissa bits; lower values go into the first, higher ones
   into the last. */
typedef struct {
    uint32_t *row;
    int32_t base, last;
} Buckets;

/* The steps of the columns, of which `offset` steps of the first hour are missing. */
typedef struct {
    Py_ssize_t steps, offset, per_hour;
} Steps;

/* The first step of an hour. */
static inline Py_ssize_t begin_of(const Steps *of, Py_ssize_t hour) {
    const Py_ssize_t begin = hour * of->per_hour - of->offset;
    return begin < 0 ? 0 : begin < of->steps ? begin : of->steps;
}

static inline int64_t bucket_of(double value, const Buckets *into) {
    int64_t number;
    memcpy(&number, &value, 8);
    number = (number >> SHIFT) - into->base;
    number = number > 0 ? number : 0;
    return number < into->last ? number : into->last;
}

#ifdef __SSE2__
/* What is known of the samples so far: the largest one, their sign bits, and the largest number of a bucket. */
typedef struct {
    __m128 largest;
    __m128i signs, number;
} Seen_f32;

typedef struct {
    __m128d largest;
    __m128i signs, number;
} Seen_f64;

/* Look at 8 samples; returns the numbers of their buckets less `base`, saturated to 16 bits. */
static inline __m128i eight_f32(const float *from, __m128i base, Seen_f32 *seen) {
    const __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + 4);
    const __m128i front = _mm_castps_si128(a), back = _mm_castps_si128(b);
    const __m128i numbers = _mm_packs_epi32(_mm_sub_epi32(_mm_srai_epi32(front, SHIFT_32), base),
                                            _mm_sub_epi32(_mm_srai_epi32(back, SHIFT_32), base));
    seen->largest = _mm_max_ps(seen->largest, _mm_max_ps(a, b));
    seen->signs = _mm_or_si128(seen->signs, _mm_or_si128(front, back));
    seen->number = _mm_max_epi16(seen->number, numbers);
    return numbers;
}

static inline __m128i eight_f64(const double *from, __m128i base, Seen_f64 *seen) {
    const __m128d a = _mm_loadu_pd(from), b = _mm_loadu_pd(from + 2), c = _mm_loadu_pd(from + 4),
                  d = _mm_loadu_pd(from + 6);
    /* a number is in the upper 32 bits */
    const __m128i front = _mm_castps_si128(_mm_shuffle_ps(_mm_castpd_ps(a), _mm_castpd_ps(b), 0xDD));
    const __m128i back = _mm_castps_si128(_mm_shuffle_ps(_mm_castpd_ps(c), _mm_castpd_ps(d), 0xDD));
    const __m128i numbers = _mm_packs_epi32(_mm_sub_epi32(_mm_srai_epi32(front, SHIFT - 32), base),
                                            _mm_sub_epi32(_mm_srai_epi32(back, SHIFT - 32), base));
    seen->largest = _mm_max_pd(seen->largest, _mm_max_pd(_mm_max_pd(a, b), _mm_max_pd(c, d)));
    seen->signs = _mm_or_si128(seen->signs, _mm_or_si128(front, back));
    seen->number = _mm_max_epi16(seen->number, numbers);
    return numbers;
}

static inline double largest_f32(const Seen_f32 *seen) {
    __m128 two = _mm_max_ps(seen->largest, _mm_movehl_ps(seen->largest, seen->largest));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

static inline double largest_f64(const Seen_f64 *seen) {
    return _mm_cvtsd_f64(_mm_max_sd(seen->largest, _mm_unpackhi_pd(seen->largest, seen->largest)));
}

/* Whether no sample is negative, NaN or infinite; `infinite` is the number of that bucket less `base`. */
static inline int flawless(__m128i signs, __m128i number, int32_t infinite) {
    const __m128i finite = _mm_set1_epi16((short)((infinite < INT16_MAX ? infinite : INT16_MAX) - 1));
    return (_mm_movemask_ps(_mm_castsi128_ps(signs)) | _mm_movemask_epi8(_mm_cmpgt_epi16(number, finite))) == 0;
}

static inline void add_four(uint32_t *row, uint64_t four, uint32_t one) {
    row[(uint16_t)four] += one;
    row[(uint16_t)(four >> 16)] += one;
    row[(uint16_t)(four >> 32)] += one;
    row[four >> 48] += one;
}

static inline void add_last_four(uint32_t *row, __m128i buckets, uint32_t one) {
    add_four(row, (uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(buckets, buckets)), one);
}

static inline void add_eight(uint32_t *row, __m128i buckets, uint32_t one) {
    const __m128i all_first = _mm_shuffle_epi32(_mm_shufflelo_epi16(buckets, 0), 0);
    /* An addition to the same place as the one before has to wait for it, and samples often repeat. */
    if (_mm_movemask_epi8(_mm_cmpeq_epi16(buckets, all_first)) == 0xFFFF)
        row[(uint16_t)_mm_cvtsi128_si32(buckets)] += 8 * one;
    else {
        add_four(row, (uint64_t)_mm_cvtsi128_si64(buckets), one);
        add_last_four(row, buckets, one);
    }
}
#endif

#define SAMPLE float
#define BASE(into) ((into)->base - BIAS)
#define INFINITE (64 * 255)
#define NAME(name) name##_f32
#include "hour_of.h"
#undef SAMPLE
#undef BASE
#undef INFINITE
#undef NAME

#define SAMPLE double
#define BASE(into) ((into)->base)
#define INFINITE (64 * 2047)
#define NAME(name) name##_f64
#include "hour_of.h"
#undef SAMPLE
#undef BASE
#undef INFINITE
#undef NAME

#endif
