/* Part of hour.h, for one type: SAMPLE, and NAME(function) with the type's suffix. */

#ifdef __SSE2__
static inline void NAME(load)(const SAMPLE *from, __m128d *first, __m128d *second) {
    if (sizeof(SAMPLE) == 8) {
        *first = _mm_loadu_pd((const double *)from);
        *second = _mm_loadu_pd((const double *)from + 2);
    } else {
        __m128 four = _mm_loadu_ps((const float *)from);
        *first = _mm_cvtps_pd(four);
        *second = _mm_cvtps_pd(_mm_movehl_ps(four, four));
    }
}
#endif

/* Add `one` to the bucket of each sample, and find the largest sample.

   Returns whether every sample is valid, 0.0 to `highest`; it may be false for -0.0 and above 1e100, which are. If not,
   `peak` has no meaning, and a second call with -1 takes the samples out of the buckets again. */
static inline int NAME(whole)(const SAMPLE *column, Py_ssize_t steps, double highest, const Buckets *into, uint32_t one,
                              double *peak) {
    uint32_t *const row = into->row; /* a local, because the compiler assumes that a count could change `into` */
    double largest = 0.0;
    int valid = 1;
    Py_ssize_t i = 0;
#ifdef __SSE2__
    if (steps >= 8) {
        const __m128i base = _mm_set1_epi32(BASE(into)), last = _mm_set1_epi16((short)into->last);
        const __m128i first = _mm_setzero_si128();
        NAME(Seen) seen;
        memset(&seen, 0, sizeof seen);
        for (; i + 8 <= steps; i += 8) {
            __m128i eight;
            __builtin_prefetch(column + i + AHEAD);
            eight = NAME(eight)(column + i, base, &seen);
            if (row != NULL)
                add_eight(row, _mm_min_epi16(_mm_max_epi16(eight, first), last), one);
        }
        if (i + 4 == steps) { /* half of these were counted before: 60 steps are 7 times 8 and 4 */
            __m128i eight = NAME(eight)(column + i - 4, base, &seen);
            if (row != NULL)
                add_last_four(row, _mm_min_epi16(_mm_max_epi16(eight, first), last), one);
            i = steps;
        }
        largest = NAME(largest)(&seen);
        valid = flawless(seen.signs, seen.number, INFINITE - BASE(into));
    }
#endif
    for (; i < steps; i++) {
        double value = column[i];
        valid &= value >= 0.0;
        largest = value > largest ? value : largest;
        if (row != NULL)
            row[bucket_of(value, into)] += one;
    }
    *peak = largest + 0.0; /* -0.0 is 0.0 */
    return valid && largest <= highest;
}

/* Count the hours from `hour` to `end`, whose buckets are those of `into`.

   `whole` is set to whether every sample of an hour is valid; if so, `peaks` and `seen` of the hour are set. Not inlined,
   because the registers do not suffice for this loop and those of its caller. */
static __attribute__((noinline)) void NAME(hours)(const SAMPLE *column, Steps of, Py_ssize_t hour, Py_ssize_t end,
                                                  double highest, Buckets into, uint8_t *whole, double *peaks,
                                                  uint16_t *seen) {
    Py_ssize_t begin = begin_of(&of, hour);
    for (; hour < end; hour++) {
        const Py_ssize_t next = begin_of(&of, hour + 1), here = next - begin;
        double peak;
        const int valid = NAME(whole)(column + begin, here, highest, &into, 1, &peak);
        if (valid) {
            peaks[hour] = peak;
            seen[hour] = (uint16_t)here;
        } else if (into.row != NULL)
            NAME(whole)(column + begin, here, highest, &into, (uint32_t)-1, &peak);
        *whole++ = (uint8_t)valid;
        begin = next;
    }
}

/* The same, sample by sample, for an hour with samples that are not valid.

   Returns how many are valid; `known` is set to whether each is. */
static inline Py_ssize_t NAME(checked)(const SAMPLE *column, Py_ssize_t steps, double highest, const Buckets *into,
                                       uint8_t *known, double *peak) {
    Py_ssize_t i, count = 0;
    double largest = 0.0;
    for (i = 0; i < steps; i++) {
        double value = column[i];
        known[i] = value >= 0.0 && value <= highest;
        if (!known[i])
            continue;
        count++;
        largest = value > largest ? value : largest;
        if (into->row != NULL)
            into->row[bucket_of(value, into)] += 1;
    }
    *peak = largest;
    return count;
}

/* Set a flag at each step whose sample reaches a limit; of samples that are not all valid, only at the valid ones. */
static inline void NAME(reaching)(const SAMPLE *column, Py_ssize_t steps, double limit, const uint8_t *known,
                                  uint8_t *flags) {
    const SAMPLE least = (SAMPLE)limit;
    Py_ssize_t i;
    if (known == NULL)
        for (i = 0; i < steps; i++)
            flags[i] |= column[i] >= least;
    else
        for (i = 0; i < steps; i++)
            flags[i] |= known[i] & (column[i] >= least);
}

/* The sum of the samples at steps whose mask has all bits set, in LANES partial sums, which are added in pairs. */
static inline double NAME(sum)(const SAMPLE *column, Py_ssize_t steps, const uint64_t *masks) {
    double lanes[LANES] = {0.0, 0.0, 0.0, 0.0};
    Py_ssize_t i = 0;
#ifdef __SSE2__
    __m128d front = _mm_setzero_pd(), back = front, x, y;
    for (; i + 4 <= steps; i += 4) {
        NAME(load)(column + i, &x, &y);
        front = _mm_add_pd(front, _mm_and_pd(x, _mm_loadu_pd((const double *)(masks + i))));
        back = _mm_add_pd(back, _mm_and_pd(y, _mm_loadu_pd((const double *)(masks + i + 2))));
    }
    _mm_storeu_pd(lanes, front);
    _mm_storeu_pd(lanes + 2, back);
#endif
    for (; i < steps; i++)
        lanes[i % LANES] += masks[i] ? column[i] : 0.0;
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}
